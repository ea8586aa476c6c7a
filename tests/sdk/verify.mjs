// Reads requests that Landfall has signed, as one JSON array, and lets each provider's official Node SDK verify them. Prints one
// line for each request: the provider, and `ok` or why not. An altered body must be refused.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { mock } from "node:test";
import { pathToFileURL } from "node:url";

const folder = process.env.LANDFALL_SDK_NODE;
if (!folder) throw new Error("LANDFALL_SDK_NODE is not set: the folder that holds node_modules");
const require = createRequire(resolve(folder) + "/");
const { default: Stripe } = await import(pathToFileURL(require.resolve("stripe")).href);
const { validateSignature } = require("@line/bot-sdk");
const { WebhooksHelper } = require("square");
const { Paddle } = require("@paddle/paddle-node-sdk");
const { default: OpenAI } = require("openai");
const { LinearWebhookClient } = require("@linear/sdk/webhooks");
const gocardless = require("gocardless-nodejs/webhooks");
const Pusher = require("pusher");
const Razorpay = require("razorpay");
const { Webhook } = require("svix");
const twilio = require("twilio");

/** Each throws or gives false where the request is not the provider's. */
const checks = {
  line: ({ body, secret, headers }) => validateSignature(body, secret, headers["x-line-signature"]),
  square: ({ body, secret, headers, config }) =>
    WebhooksHelper.verifySignature({
      requestBody: body,
      signatureHeader: headers["x-square-hmacsha256-signature"],
      signatureKey: secret,
      notificationUrl: config.notification_url,
    }),
  // Its window is 5 s, and loading all these SDKs may take as long: the clock stands at the signed time.
  paddle: async ({ body, secret, headers }) => {
    const signature = headers["paddle-signature"];
    mock.timers.enable({ apis: ["Date"], now: Number(/ts=(\d+)/.exec(signature)[1]) * 1000 });
    try {
      return await new Paddle("key").webhooks.isSignatureValid(body, secret, signature);
    } finally {
      mock.timers.reset();
    }
  },
  openai: ({ body, secret, headers }) =>
    new OpenAI({ apiKey: "key" }).webhooks.verifySignature(body, headers, secret).then(() => true),
  linear: ({ body, secret, headers }) =>
    new LinearWebhookClient(secret).verify(Buffer.from(body), headers["linear-signature"]),
  gocardless: ({ body, secret, headers }) => {
    gocardless.verifySignature(body, secret, headers["webhook-signature"]);
    return true;
  },
  pusher: ({ body, secret, headers, config }) =>
    new Pusher({ appId: "1", key: config.app_key, secret }).webhook({ headers, rawBody: body }).isValid(),
  razorpay: ({ body, secret, headers }) =>
    Razorpay.validateWebhookSignature(body, headers["x-razorpay-signature"], secret),
  svix: ({ body, secret, headers }) => Boolean(new Webhook(secret).verify(body, headers)),
  stripe: ({ body, secret, headers }) =>
    Boolean(Stripe.webhooks.constructEvent(body, headers["stripe-signature"], secret)),
  twilio: ({ body, secret, headers, url }) =>
    twilio.validateRequest(secret, headers["x-twilio-signature"], url, Object.fromEntries(new URLSearchParams(body))),
};

async function holds(request) {
  try {
    return (await checks[request.provider](request)) ? "ok" : "refused";
  } catch (error) {
    return `refused: ${error.message.split("\n")[0]}`;
  }
}

for (const request of JSON.parse(readFileSync(0, "utf8"))) {
  const altered = { ...request, body: request.body.replace(/.$/, (last) => (last === "}" ? " }" : "x")) };
  const verdict = (await holds(altered)) === "ok" ? "an altered body is accepted" : await holds(request);
  console.log(`${request.provider} ${verdict}`);
}
