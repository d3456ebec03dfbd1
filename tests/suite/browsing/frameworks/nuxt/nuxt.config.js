const built = ['static', 'static-not-followed', 'static-last'].map((id) => `/nuxt-${id}/about`);

export default defineNuxtConfig({
  compatibilityDate: '2026-11-01',
  telemetry: false,
  devtools: { enabled: false },
  app: {
    head: {
      link: [{ rel: 'icon', href: 'data:,' }, { rel: 'stylesheet', href: '/_/style.css' }],
      script: [{ type: 'module', src: '/_/count.js' }],
    },
  },
  // Pages that are built ahead, and one that is kept for a while.
  routeRules: { ...Object.fromEntries(built.map((path) => [path, { prerender: true }])), '/*/guide': { swr: 600 } },
});
