// A plain `npm ci` must not try to download a browser: one that is installed is used, if any.
const { existsSync } = require('node:fs');

const candidates = [
  process.env.PUPPETEER_EXECUTABLE_PATH,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

module.exports = { skipDownload: true, executablePath: candidates.find((path) => path && existsSync(path)) };
