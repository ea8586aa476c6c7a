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
const { WorkOS } = await load("@workos-inc/node");
const { signRequest } = require("@contentful/node-apps-toolkit");
const { hmacValidator: AdyenValidator } = require("@adyen/api-library");
const { Signature: HubSpot } = require("@hubspot/api-client");
const { encodeSignatureHeader } = require("@sanity/webhook");
const braintree = require("braintree");
const twilio = require("twilio");

const NOW = 1760000000;
const URL = "https://hooks.example.com/in";
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
  {
    scheme: "workos",
    kind: "hmac-sha256/ts.body/hex-kv-list",
    encoding: "utf8",
    old: "old-secret-for-tests",
    fresh: "new-secret-for-tests",
    now: NOW,
    // The SDK signs an object, as JSON.stringify writes it.
    sign: async ([secret], body) => {
      const signed = await new WorkOS("sk_test").webhooks.computeSignature(NOW * 1000, JSON.parse(body), secret);
      return [["WorkOS-Signature", `t=${NOW * 1000}, v1=${signed}`]];
    },
  },
  {
    scheme: "contentful",
    kind: "hmac-sha256/canonical-request/hex",
    encoding: "utf8",
    old: "old-secret-for-tests".padEnd(64, "."),
    fresh: "new-secret-for-tests".padEnd(64, "."),
    now: NOW,
    sign: ([secret], body) => {
      const headers = { "Content-Type": "application/json", "X-Contentful-Topic": "ContentManagement.Entry.publish" };
      const request = { method: "POST", path: "/in", headers, body };
      const signed = Object.entries(signRequest(secret, request, NOW * 1000));
      return [["X-Contentful-Topic", headers["X-Contentful-Topic"]], ...signed];
    },
  },
  {
    scheme: "hubspot",
    kind: "hmac-sha256/method+url+body+ts/base64",
    encoding: "utf8",
    old: "old-secret-for-tests",
    fresh: "new-secret-for-tests",
    now: NOW,
    sign: ([clientSecret], requestBody) => {
      const request = { clientSecret, requestBody, url: URL, method: "POST", timestamp: NOW * 1000 };
      return [
        ["X-HubSpot-Signature-v3", HubSpot.getSignature("POST", "v3", request)],
        ["X-HubSpot-Request-Timestamp", `${NOW * 1000}`],
      ];
    },
  },
  {
    scheme: "sanity",
    kind: "hmac-sha256/ts.body/base64url-kv-list",
    encoding: "utf8",
    old: "old-secret-for-tests",
    fresh: "new-secret-for-tests",
    now: NOW,
    sign: async ([secret], body) => [["sanity-webhook-signature", await encodeSignatureHeader(body, NOW * 1000, secret)]],
  },
  {
    scheme: "twilio",
    kind: "hmac-sha1/url+sorted-form/base64",
    encoding: "utf8",
    old: "old-secret-for-tests",
    fresh: "new-secret-for-tests",
    now: null,
    contentType: "application/x-www-form-urlencoded",
    ascii: "CallSid=CA1&Digits=1&From=%2B14158675309&FromCity=",
    tampered: "CallSid=CA1&Digits=2&From=%2B14158675309&FromCity=",
    bodies: [],
    sign: ([token], body) => {
      const fields = Object.fromEntries(new URLSearchParams(body));
      return [["X-Twilio-Signature", twilio.getExpectedTwilioSignature(token, URL, fields)]];
    },
  },
  {
    scheme: "adyen",
    kind: "hmac-sha256/fields/base64-in-body",
    encoding: "hex",
    old: "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
    fresh: "11782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
    now: null,
    bodies: [],
    ascii: "order-1",
    tampered: "order-1",
    // The signature is inside of the body.
    sign: () => [],
    write: ([key], reference, sent) => {
      const item = {
        pspReference: "8535296650153317",
        originalReference: "",
        merchantAccountCode: "TestMerchant",
        merchantReference: reference,
        amount: { currency: "EUR", value: 1990 },
        eventCode: "AUTHORISATION",
        success: "true",
      };
      const hmacSignature = new AdyenValidator().calculateHmac(item, key);
      const value = sent === undefined ? item.amount : { currency: "EUR", value: 1 };
      const signed = { ...item, amount: value, additionalData: { hmacSignature } };
      return JSON.stringify({ live: "false", notificationItems: [{ NotificationRequestItem: signed }] });
    },
  },
  {
    scheme: "braintree",
    kind: "hmac-sha1/form-field/hex-with-key-id",
    encoding: "utf8",
    old: "old-private-key",
    fresh: "new-private-key",
    now: null,
    config: { public_key: "the_public_key" },
    contentType: "application/x-www-form-urlencoded",
    bodies: [],
    ascii: "sub_1",
    tampered: "sub_1",
    sign: () => [],
    write: async ([privateKey], id, sent) => {
      const environment = braintree.Environment.Sandbox;
      const gateway = new braintree.BraintreeGateway({
        environment,
        merchantId: "merchant",
        publicKey: "the_public_key",
        privateKey,
      });
      const made = await gateway.webhookTesting.sampleNotification("subscription_went_past_due", id);
      const payload = sent === undefined ? made.bt_payload : made.bt_payload.replace(/^./, "A");
      return new URLSearchParams({ ...made, bt_payload: payload }).toString();
    },
  },
];

async function vectorsOf(one) {
  const { scheme, kind, encoding, old, fresh, now, config } = one;
  const [ascii, altered] = [one.ascii ?? ASCII, one.tampered ?? TAMPERED];
  const usual = { expect: "accept", signers: [fresh], known: [fresh] };
  const vector = async (tag, name, body, given = {}) => {
    const { expect, signers, known, sent } = { ...usual, ...given };
    const written = one.write ? await one.write(signers, body, sent) : (sent ?? body);
    return {
      id: `sdk-node-${scheme}-${tag}`,
      provider: scheme,
      scheme,
      kind,
      name,
      secrets: known.map((value) => ({ encoding, value })),
      method: "POST",
      url: URL,
      headers: [["Content-Type", one.contentType ?? "application/json"], ...(await one.sign(signers, body))],
      body: written,
      body_encoding: "utf-8",
      now,
      expect,
      ...(config ? { config } : {}),
    };
  };
  const bodies = one.bodies ?? (one.signsEmptyBody ? [...BODIES, EMPTY] : BODIES);
  const known = [old, fresh];
  const expect = "reject:signature_mismatch";
  const rotation = [
    vector("old", "signed with the old secret, both known", ascii, { signers: [old], known }),
    vector("new", "signed with the new secret, both known", ascii, { known }),
    vector("retired", "signed with the old secret, only the new one known", ascii, { signers: [old], expect }),
  ];
  const both = vector("both", "signed with both secrets, only the new one known", ascii, { signers: known });
  return Promise.all([
    ...bodies.map(([tag, name, body]) => vector(tag, name, body)),
    ...rotation,
    ...(one.joinsSignatures ? [both] : []),
    vector("tampered", "one byte of the body changed", ascii, { sent: altered, expect }),
  ]);
}

console.log(JSON.stringify((await Promise.all(schemes.map(vectorsOf))).flat(), null, 1));
