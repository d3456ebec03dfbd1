export default {
  ssr: true,
  // Before it stands a proxy, which the program that serves it cannot be told of.
  allowedActionOrigins: ['**'],
  // Built ahead.
  prerender: ['static', 'static-not-followed', 'static-last'].map((id) => `/react-router-${id}/about`),
};
