// Prints requests that the official Node SDKs have signed, as one JSON array of vectors.

import { createRequire } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const folder = process.env.LANDFALL_SDK_NODE;
if (!folder) throw new Error("LANDFALL_SDK_NODE is not set: the folder that holds node_modules");
const require = createRequire(resolve(folder) + "/");
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const { Webhooks } = await load("@octokit/webhooks");
const { default: Stripe } = await load("stripe");
const { Webhook } = await load("svix");

const NOW = 1760000000;
const BIG = 100 * 1024;
const filled = (start, end) => start + "a".repeat(BIG - start.length - end.length) + end;

const ASCII = '{"id":"evt_1","object":"event","type":"order.paid","n":1}';
const TAMPERED = ASCII.replace('"n":1', '"n":2');
const BODIES = [
  ["ascii", "ASCII body", ASCII],
  ["accents", "emoji and accents", '{"id":"evt_2","type":"order.paid","text":"Café à Zürich 🎉👩‍🚀"}'],
  ["object", "empty object", "{}"],
  ["big", "100 KiB body", filled('{"id":"evt_3","type":"order.paid","text":"', '"}')],
];
const EMPTY = ["empty", "empty body", ""];

const whsec = (text) => "whsec_" + Buffer.from(text.padEnd(32, ".")).toString("base64");

const schemes = [
  {
    scheme: "github",
    kind: "hmac-sha256/body/hex-prefixed",
    encoding: "utf8",
    old: "old-secret-for-tests",
    fresh: "new-secret-for-tests",
    now: null,
    joinsSignatures: false,
    signsEmptyBody: false,
    sign: async ([secret], body) => [
      ["X-GitHub-Event", "ping"],
      ["X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"],
      ["X-Hub-Signature-256", await new Webhooks({ secret }).sign(body)],
    ],
  },
  {
    scheme: "stripe",
    kind: "hmac-sha256/ts.body/hex-kv-list",
    encoding: "utf8",
    old: "whsec_test_old",
    fresh: "whsec_test_new",
    now: NOW,
    joinsSignatures: true,
    signsEmptyBody: true,
    sign: (secrets, payload) => {
      const header = (secret) => Stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp: NOW });
      const [first, ...others] = secrets.map(header);
      return [["Stripe-Signature", [first, ...others.map((text) => text.slice(text.indexOf(",") + 1))].join(",")]];
    },
  },
  {
    scheme: "svix",
    kind: "hmac-sha256/id.ts.body/base64-versioned-list",
    encoding: "whsec",
    old: whsec("old secret for tests"),
    fresh: whsec("new secret for tests"),
    now: NOW,
    joinsSignatures: true,
    signsEmptyBody: true,
    sign: (secrets, body) => {
      const signed = secrets.map((secret) => new Webhook(secret).sign("msg_1", new Date(NOW * 1000), body));
      return [["svix-id", "msg_1"], ["svix-timestamp", `${NOW}`], ["svix-signature", signed.join(" ")]];
    },
  },
];

async function vectorsOf(one) {
  const { scheme, kind, encoding, old, fresh, now } = one;
  const usual = { expect: "accept", signers: [fresh], known: [fresh] };
  const vector = async (tag, name, body, given = {}) => {
    const { expect, signers, known, sent } = { ...usual, sent: body, ...given };
    return {
      id: `sdk-node-${scheme}-${tag}`,
      provider: scheme,
      scheme,
      kind,
      name,
      secrets: known.map((value) => ({ encoding, value })),
      method: "POST",
      url: "https://hooks.example.com/in",
      headers: [["Content-Type", "application/json"], ...(await one.sign(signers, body))],
      body: sent,
      body_encoding: "utf-8",
      now,
      expect,
    };
  };
  const bodies = one.signsEmptyBody ? [...BODIES, EMPTY] : BODIES;
  const known = [old, fresh];
  const expect = "reject:signature_mismatch";
  const rotation = [
    vector("old", "signed with the old secret, both known", ASCII, { signers: [old], known }),
    vector("new", "signed with the new secret, both known", ASCII, { known }),
    vector("retired", "signed with the old secret, only the new one known", ASCII, { signers: [old], expect }),
  ];
  const both = vector("both", "signed with both secrets, only the new one known", ASCII, { signers: known });
  return Promise.all([
    ...bodies.map(([tag, name, body]) => vector(tag, name, body)),
    ...rotation,
    ...(one.joinsSignatures ? [both] : []),
    vector("tampered", "one byte of the body changed", ASCII, { sent: TAMPERED, expect }),
  ]);
}

console.log(JSON.stringify((await Promise.all(schemes.map(vectorsOf))).flat(), null, 1));
