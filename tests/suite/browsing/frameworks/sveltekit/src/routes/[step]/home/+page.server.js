export const load = ({ params: { step } }) => ({
  at: `/${step}/home`,
  links: { go: 'posts/1', list: 'list', form: 'form', static: 'about', guide: 'guide', bare: 'bare', old: 'old', none: 'posts/none', missing: 'missing' },
});
