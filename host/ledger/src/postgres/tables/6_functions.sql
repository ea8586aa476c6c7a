-- Version 6. Functions are kept in functions/ from here on. Older versions of these have other parameters.
DROP FUNCTION IF EXISTS
    arrive(uuid, text, bigint, bytea, bytea, bytea, bytea, bytea, bigint, bytea, bigint, integer, uuid, bigint),
    accept(uuid, text, bigint, bytea, bytea, bytea, bytea, bytea, bigint, bytea, bigint, uuid, bigint, text),
    replay(uuid, bigint),
    replay(uuid, bigint, boolean);
