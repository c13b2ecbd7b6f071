// Looks at the API page in a real Chromium: it shows every operation, sends a request, and calls nobody else.
// Arguments: the service's address, and where to put a picture of the page.
import { chromium } from 'playwright-core';

const [address, picture] = process.argv.slice(2);
const refusals = [];
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
});
try {
  const page = await browser.newPage({ viewport: { width: 1400, height: 1000 } });
  const elsewhere = [];
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.origin !== address && !['data:', 'blob:'].includes(url.protocol)) elsewhere.push(request.url());
  });
  page.on('console', (message) => {
    if (message.type() === 'error' || /Content.Security.Policy/i.test(message.text())) refusals.push(message.text());
  });
  page.on('pageerror', (error) => refusals.push(String(error)));
  await page.addInitScript(() => {
    globalThis.violations = [];
    addEventListener('securitypolicyviolation', (event) => {
      globalThis.violations.push(`${event.violatedDirective}: ${event.blockedURI}`);
    });
  });

  const answer = await page.goto(`${address}/docs`);
  check(answer.status() === 200, `/docs answers ${answer.status()}`);
  await page.getByRole('heading', { name: 'aidlc-auth' }).first().waitFor();

  const description = await (await page.request.get(`${address}/openapi.json`)).json();
  for (const [path, item] of Object.entries(description.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const summary = operation.summary.replace(/\.$/, '');
      const entry = page.locator('aside, nav').getByText(summary).first();
      await entry.waitFor({ timeout: 20_000 }).catch(() => fail(`${method} ${path} (${summary}) is not shown`));
    }
  }
  await page.screenshot({ path: picture });

  // Try one out: the process answers.
  await page.locator('aside, nav').getByText('The process answers').first().click();
  await page.getByRole('button', { name: /Test Request.*health\/live/i }).first().click();
  const sent = page.waitForResponse((response) => response.url() === `${address}/health/live`);
  await page.getByRole('button', { name: /^Send/i }).first().click();
  check((await sent).status() === 200, 'the tried request is not answered 200');
  await page.getByText('200', { exact: false }).first().waitFor();
  await page.screenshot({ path: picture.replace(/\.png$/, '-tried.png') });

  const violations = await page.evaluate(() => globalThis.violations);
  check(violations.length === 0, `the policy was violated:\n${violations.join('\n')}`);
  check(refusals.length === 0, `the console has errors:\n${refusals.join('\n')}`);
  check(elsewhere.length === 0, `it called elsewhere:\n${elsewhere.join('\n')}`);

  // And this test would see one that is refused.
  await page.evaluate(() => fetch('http://127.0.0.2:9/').catch(() => {}));
  const seen = await page.evaluate(() => globalThis.violations.length);
  check(seen > 0, 'a planted call elsewhere was not refused by the policy');
  console.log('the API page shows every operation, sends requests and calls nobody else');
} finally {
  await browser.close();
}

function check(holds, words) {
  if (!holds) fail(words);
}

function fail(words) {
  throw new Error(words);
}
