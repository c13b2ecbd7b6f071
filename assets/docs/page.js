// Shows /openapi.json with Scalar, and keeps it from calling anyone else. The page's Content-Security-Policy
// (src/http/docs/page.rs) holds it to that.

// Before Scalar runs: its validator would try `new Function`, which the policy refuses and reports.
globalThis.__zod_globalConfig = { jitless: true };

addEventListener('DOMContentLoaded', () => {
  Scalar.createApiReference('#api', {
    url: 'openapi.json',
    // From elsewhere.
    withDefaultFonts: false,
    telemetry: false,
    proxyUrl: '',
    agent: { disabled: true },
    mcp: { disabled: true },
    hideClientButton: true,
    showDeveloperTools: 'never',
    // A token typed here is forgotten with the tab.
    persistAuth: false,
    defaultHttpClient: { targetKey: 'shell', clientKey: 'curl' },
    defaultOpenAllTags: true,
    operationTitleSource: 'summary',
    showOperationId: true,
    documentDownloadType: 'json',
    orderSchemaPropertiesBy: 'preserve',
  });
});
