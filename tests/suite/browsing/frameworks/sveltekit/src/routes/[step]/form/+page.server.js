import { redirect } from '@sveltejs/kit';

export const load = ({ params: { step } }) => ({ at: `/${step}/form` });
export const actions = {
  send: ({ params: { step } }) => redirect(303, `/${step}/done`),
  check: () => ({ said: 'Checked' }),
};
