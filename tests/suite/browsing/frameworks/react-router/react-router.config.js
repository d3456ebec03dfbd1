export default {
  ssr: true,
  // Built ahead.
  prerender: ['static', 'static-not-followed', 'static-last'].map((id) => `/react-router-${id}/about`),
};
