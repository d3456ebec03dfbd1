// Built ahead.
export const prerender = true;
export const entries = () => ['static', 'static-not-followed', 'static-last'].map((id) => ({ step: `sveltekit-${id}` }));
export const load = ({ params: { step } }) => ({ at: `/${step}/about`, links: { go: 'posts/1' } });
