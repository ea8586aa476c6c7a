//! Cryptography: MACs that are computed while the body arrives, and public-key signatures.
//! Comparisons take constant time.

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use ring::signature as ring_signature;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use sha3::Keccak256;
use subtle::ConstantTimeEq;

use crate::certificate::{WebKey, key_bits};
use landfall_model::Algorithm;

const ED25519_BYTES: usize = 32;
const P256_POINT_BYTES: usize = 65;
const RSA_BYTES_MIN: usize = 256;

/// A MAC or digest over data that arrives in pieces.
#[derive(Clone)]
pub(crate) enum Running {
    Md5(Hmac<Md5>),
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
    /// The plain digests have no key: the secret is part of the data.
    PlainSha1(Sha1),
    PlainSha256(Sha256),
    PlainKeccak256(Keccak256),
}

// === impl Running ===

impl Running {
    /// Returns `None` for public-key algorithms.
    pub(crate) fn new(algorithm: Algorithm, key: &[u8]) -> Option<Running> {
        fn keyed<M: KeyInit>(key: &[u8]) -> M {
            <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length")
        }

        Some(match algorithm {
            Algorithm::HmacMd5 => Running::Md5(keyed(key)),
            Algorithm::HmacSha1 => Running::Sha1(keyed(key)),
            Algorithm::HmacSha256 => Running::Sha256(keyed(key)),
            Algorithm::HmacSha384 => Running::Sha384(keyed(key)),
            Algorithm::HmacSha512 => Running::Sha512(keyed(key)),
            Algorithm::Sha1 => Running::PlainSha1(Sha1::new()),
            Algorithm::Sha256 => Running::PlainSha256(Sha256::new()),
            Algorithm::Keccak256 => Running::PlainKeccak256(Keccak256::new()),
            Algorithm::Ed25519
            | Algorithm::EcdsaP256Sha256
            | Algorithm::RsaPkcs1v15Sha256
            | Algorithm::RsaPssSha512 => return None,
        })
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Running::Md5(mac) => mac.update(bytes),
            Running::Sha1(mac) => mac.update(bytes),
            Running::Sha256(mac) => mac.update(bytes),
            Running::Sha384(mac) => mac.update(bytes),
            Running::Sha512(mac) => mac.update(bytes),
            Running::PlainSha1(digest) => Digest::update(digest, bytes),
            Running::PlainSha256(digest) => Digest::update(digest, bytes),
            Running::PlainKeccak256(digest) => Digest::update(digest, bytes),
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        match self {
            Running::Md5(mac) => mac.finalize().into_bytes().to_vec(),
            Running::Sha1(mac) => mac.finalize().into_bytes().to_vec(),
            Running::Sha256(mac) => mac.finalize().into_bytes().to_vec(),
            Running::Sha384(mac) => mac.finalize().into_bytes().to_vec(),
            Running::Sha512(mac) => mac.finalize().into_bytes().to_vec(),
            Running::PlainSha1(digest) => digest.finalize().to_vec(),
            Running::PlainSha256(digest) => digest.finalize().to_vec(),
            Running::PlainKeccak256(digest) => digest.finalize().to_vec(),
        }
    }
}

/// The MAC of `message`.
pub(crate) fn mac(algorithm: Algorithm, key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut running = Running::new(algorithm, key).expect("only asked for MACs");
    running.update(bytes);
    running.finish()
}

/// Whether two MACs are equal. Takes constant time for MACs of the same length.
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// Whether two texts are equal. Compares their digests, so that the time reveals neither content
/// nor length.
pub(crate) fn same_text(left: &[u8], right: &[u8]) -> bool {
    Sha256::digest(left).ct_eq(&Sha256::digest(right)).into()
}

/// Whether the algorithm is a plain digest: the signed text must contain the secret.
pub(crate) fn is_plain_digest(algorithm: Algorithm) -> bool {
    matches!(
        algorithm,
        Algorithm::Sha1 | Algorithm::Sha256 | Algorithm::Keccak256
    )
}

/// Whether the algorithm allows length extension: a digest and the length of its text are enough to
/// compute the digest of a longer text that begins with the same bytes.
pub(crate) fn can_be_lengthened(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::Sha1 | Algorithm::Sha256)
}

pub(crate) fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// SHA-256 in lower-case hex.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The length of a signature in bytes; `None` if it varies.
pub(crate) fn signature_length(algorithm: Algorithm) -> Option<usize> {
    match algorithm {
        Algorithm::HmacMd5 => Some(16),
        Algorithm::HmacSha1 | Algorithm::Sha1 => Some(20),
        Algorithm::HmacSha256 | Algorithm::Sha256 | Algorithm::Keccak256 => Some(32),
        Algorithm::HmacSha384 => Some(48),
        Algorithm::HmacSha512 | Algorithm::Ed25519 => Some(64),
        Algorithm::EcdsaP256Sha256 | Algorithm::RsaPkcs1v15Sha256 | Algorithm::RsaPssSha512 => None,
    }
}

/// Whether `signature` verifies with a public key. `key` is the result of `key::decode` for the
/// algorithm; a key that cannot be parsed verifies nothing.
pub(crate) fn is_signed(
    algorithm: Algorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    match algorithm {
        Algorithm::Ed25519 => {
            let key = match key.len() {
                ED25519_BYTES => Some(key.to_vec()),
                _ => key_bits(key),
            };
            key.is_some_and(|key| holds(&ring_signature::ED25519, &key, message, signature))
        }
        Algorithm::EcdsaP256Sha256 => key_bits(key).is_some_and(|key| {
            holds(
                &ring_signature::ECDSA_P256_SHA256_ASN1,
                &key,
                message,
                signature,
            )
        }),
        Algorithm::RsaPkcs1v15Sha256 => is_rsa_signed(Rsa::Sha256, key, message, signature),
        Algorithm::RsaPssSha512 => is_rsa_signed(Rsa::PssSha512, key, message, signature),
        _ => false,
    }
}

/// Whether `key` is a valid key of the algorithm. A MAC accepts any key. `key` is the result of
/// `key::decode`.
pub(crate) fn is_public_key(algorithm: Algorithm, key: &[u8]) -> bool {
    let length = key_bits(key).map(|bits| bits.len());
    match algorithm {
        Algorithm::Ed25519 => key.len() == ED25519_BYTES || length == Some(ED25519_BYTES),
        Algorithm::EcdsaP256Sha256 => length == Some(P256_POINT_BYTES),
        Algorithm::RsaPkcs1v15Sha256 | Algorithm::RsaPssSha512 => {
            length.is_some_and(|length| length > RSA_BYTES_MIN)
        }
        _ => true,
    }
}

/// The digest and padding of an RSA signature.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rsa {
    /// Only for providers that offer nothing stronger.
    Sha1,
    Sha256,
    /// PSS padding instead of PKCS#1 v1.5.
    PssSha512,
}

/// Whether an RSA key made this signature. Keys have 2048 to 8192 bits.
pub(crate) fn is_rsa_signed(digest: Rsa, spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let rule = match digest {
        Rsa::Sha1 => &ring_signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        Rsa::Sha256 => &ring_signature::RSA_PKCS1_2048_8192_SHA256,
        Rsa::PssSha512 => &ring_signature::RSA_PSS_2048_8192_SHA512,
    };

    key_bits(spki).is_some_and(|key| holds(rule, &key, message, signature))
}

/// Whether a P-256 key made this signature over SHA-256, in the fixed-length form (IEEE P1363).
pub(crate) fn is_fixed_ecdsa_signed(spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
    key_bits(spki).is_some_and(|key| {
        holds(
            &ring_signature::ECDSA_P256_SHA256_FIXED,
            &key,
            message,
            signature,
        )
    })
}

/// The digest of an ECDSA signature in DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EcdsaDigest {
    /// Only for providers that offer nothing stronger.
    Sha1,
    Sha256,
}

// === impl EcdsaDigest ===

impl EcdsaDigest {
    pub(crate) fn name(self) -> &'static str {
        match self {
            EcdsaDigest::Sha1 => "SHA1",
            EcdsaDigest::Sha256 => "SHA256",
        }
    }
}

/// Whether a P-256 key made this signature, in DER.
pub(crate) fn is_p256_signed(
    digest: EcdsaDigest,
    spki: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    use p256::ecdsa::signature::hazmat::PrehashVerifier;
    use p256::ecdsa::{Signature, VerifyingKey};

    let Some(key) = key_bits(spki) else {
        return false;
    };

    match digest {
        EcdsaDigest::Sha256 => holds(
            &ring_signature::ECDSA_P256_SHA256_ASN1,
            &key,
            message,
            signature,
        ),
        // `ring` has no ECDSA with SHA-1.
        EcdsaDigest::Sha1 => {
            let key = VerifyingKey::from_sec1_bytes(&key);
            let signature = Signature::from_der(signature);
            key.is_ok_and(|key| {
                signature.is_ok_and(|signature| {
                    key.verify_prehash(&Sha1::digest(message), &signature)
                        .is_ok()
                })
            })
        }
    }
}

/// Whether a JSON web key made this signature, encoded as outside of JSON web signatures (ECDSA in
/// DER).
pub(crate) fn is_signed_by(
    key: &WebKey,
    algorithm: Algorithm,
    message: &[u8],
    signature: &[u8],
) -> bool {
    match (key, algorithm) {
        (WebKey::Rsa(..), Algorithm::RsaPkcs1v15Sha256) => {
            is_web_signed(key, "RS256", message, signature)
        }
        (WebKey::P256(point), Algorithm::EcdsaP256Sha256) => holds(
            &ring_signature::ECDSA_P256_SHA256_ASN1,
            point,
            message,
            signature,
        ),
        (WebKey::Ed25519(point), Algorithm::Ed25519) => {
            holds(&ring_signature::ED25519, point, message, signature)
        }
        _ => false,
    }
}

/// Whether a public key (SubjectPublicKeyInfo in DER) made this signature of a JSON web token.
pub(crate) fn is_token_signed(
    spki: &[u8],
    algorithm: &str,
    message: &[u8],
    signature: &[u8],
) -> bool {
    match algorithm {
        "RS256" => is_rsa_signed(Rsa::Sha256, spki, message, signature),
        "ES256" => is_fixed_ecdsa_signed(spki, message, signature),
        _ => false,
    }
}

/// Whether a JSON web key made this signature, encoded as in JSON web signatures (RFC 7518).
pub(crate) fn is_web_signed(
    key: &WebKey,
    algorithm: &str,
    message: &[u8],
    signature: &[u8],
) -> bool {
    match (key, algorithm) {
        (WebKey::Rsa(n, e), "RS256") => ring_signature::RsaPublicKeyComponents { n, e }
            .verify(
                &ring_signature::RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            )
            .is_ok(),
        (WebKey::P256(point), "ES256") => holds(
            &ring_signature::ECDSA_P256_SHA256_FIXED,
            point,
            message,
            signature,
        ),
        _ => false,
    }
}

fn holds(
    rule: &'static dyn ring_signature::VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    ring_signature::UnparsedPublicKey::new(rule, key)
        .verify(message, signature)
        .is_ok()
}
