// Checks the HMAC of the body, parses the JSON and answers with it. One process for each processor.
// Usage: node node_server.mjs PORT

import cluster from "node:cluster";
import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { availableParallelism } from "node:os";

const port = Number(process.argv[2]);

if (cluster.isPrimary) {
  for (let count = 0; count < availableParallelism(); count += 1) cluster.fork();
} else {
  const secret = readFileSync(process.env.SECRET_FILE);

  createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks);
      const expected = Buffer.from(`sha256=${createHmac("sha256", secret).update(body).digest("hex")}`);
      const signature = Buffer.from(String(request.headers["x-signature"] ?? ""));
      if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) {
        response.writeHead(401).end();
        return;
      }

      const received = JSON.parse(body.toString());
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ hook: "bench", event_id: "-", received }));
    });
  }).listen(port, "127.0.0.1");
}
