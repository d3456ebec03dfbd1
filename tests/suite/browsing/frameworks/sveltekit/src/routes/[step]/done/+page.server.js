export const load = ({ params: { step } }) => ({ at: `/${step}/done`, links: { go: 'home' } });
