// For Docker, which restarts what has ended but not what is unhealthy: exit code 1 where no run can be read, and after
// four such looks in a row the end of Omniboard, the container's first program (or the child of its init).
"use strict";

const fs = require("fs");
const http = require("http");

const MISSES = "/tmp/omniboard-misses";
const MOST = 4;
const options = { host: "127.0.0.1", port: process.env.PORT || 9000, path: "/sacred/api/v1/Runs?limit=1&select=_id" };

function missed() {
  const misses = (fs.existsSync(MISSES) ? Number(fs.readFileSync(MISSES, "utf8")) : 0) + 1;
  fs.writeFileSync(MISSES, String(misses));
  if (misses >= MOST && process.env.OMNIBOARD_IN_CONTAINER) {
    fs.rmSync(MISSES);
    process.kill(1, "SIGTERM");
  }
  process.exit(1);
}

http
  .get({ ...options, timeout: 5000 }, (response) => {
    if (response.statusCode !== 200) return missed();
    fs.rmSync(MISSES, { force: true });
    process.exit(0);
  })
  .on("timeout", missed)
  .on("error", missed);
