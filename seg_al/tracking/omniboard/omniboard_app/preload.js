// Loaded before Omniboard (node -r): what its command line cannot say.
// - It listens on one interface and one port; Omniboard itself takes every interface and, in silence, the next port.
// - It answers no page of another site: Omniboard deletes runs for whoever asks, without a login.
// - The first view of a browser shows the columns of the database (first_view.js); Omniboard shows all of Sacred's first.
// - The table has four decimals and all runs; Omniboard shows 17 digits, and as many rows as an estimate says, which a
//   killed MongoDB gets wrong.
// - Its log tells of what failed; Omniboard also tells of every page that it served.
// - It ends when the process that started it ends.
"use strict";

const fs = require("fs");
const http = require("http");
const net = require("net");
const path = require("path");

const HOST = process.env.OMNIBOARD_HOST || "127.0.0.1";
const PORT_IN_USE = 98; // exit code that seg_al/omniboard.py knows
const LOCAL = new Set(["127.0.0.1", "localhost", "[::1]"]);

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  this.prependOnceListener("error", (error) => {
    if (error.code === "EADDRINUSE") process.exit(PORT_IN_USE);
  });
  const options = typeof port === "object" ? { ...port, host: HOST } : { port: Number(port), host: HOST };
  return listen.call(this, options, ...rest.filter((argument) => typeof argument === "function"));
};

function isLocal(url) {
  try {
    return LOCAL.has(new URL(url).hostname);
  } catch {
    return false;
  }
}

const createServer = http.createServer;
http.createServer = function (application) {
  return createServer.call(http, (request, response) => {
    const { host, origin } = request.headers;
    if (isLocal(`http://${host}`) && (origin === undefined || isLocal(origin))) return application(request, response);
    response.writeHead(403, { "Content-Type": "text/plain" });
    response.end("Omniboard answers pages of this machine only: open it as localhost, over ssh -L from elsewhere.\n");
  });
};

const readFile = fs.readFileSync;
const firstView = `<script>${readFile(path.join(__dirname, "first_view.js"), "utf8")}</script>`;

function rounded(value) {
  if (typeof value !== "number" || Number.isInteger(value) || !Number.isFinite(value)) return value;
  return Math.abs(value) < 0.001 ? Number(value.toPrecision(4)) : Number(value.toFixed(4));
}

function roundedRow(run) {
  return Object.fromEntries(Object.entries(run).map(([key, value]) => [key, rounded(value)]));
}

const load = require("module")._load;
require("module")._load = function (name, ...rest) {
  const loaded = load.call(this, name, ...rest);
  if (name === "express" && !loaded.response.servesFirstView) {
    const sendFile = loaded.response.sendFile;
    loaded.response.servesFirstView = true;
    loaded.response.sendFile = function (file, ...others) {
      if (path.basename(file) !== "index.html") return sendFile.call(this, file, ...others);
      return this.type("html").send(readFile(file, "utf8").replace("<head>", () => `<head>${firstView}`));
    };
    const json = loaded.response.json;
    loaded.response.json = function (body) {
      const table = /\/api\/v1\/Runs(\?|$)/.test(this.req.originalUrl) && Array.isArray(body);
      return json.call(this, table ? body.map((run) => (Object(run) === run ? roundedRow(run) : run)) : body);
    };
  }
  if (name === "mongoose") loaded.Model.estimatedDocumentCount = loaded.Model.countDocuments;
  return loaded;
};

const write = process.stdout.write;
process.stdout.write = function (text, ...rest) {
  return /^Query took|" (?:2\d\d|304) /.test(String(text)) || write.call(this, text, ...rest);
};

if (process.env.OMNIBOARD_PARENT_PIPE) {
  process.stdin.on("end", () => process.exit(0)).on("error", () => process.exit(0)).resume();
}
