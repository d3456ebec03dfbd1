import { Form, redirect, useFetcher } from 'react-router';
import { Here } from '../here';

export const loader = ({ params: { step } }) => ({ at: `/${step}/form` });

export async function action({ request, params: { step } }) {
  const does = (await request.formData()).get('does');
  return does === 'send' ? redirect(`/${step}/done`) : { said: 'Checked' };
}

export default function Page({ loaderData: { at }, actionData }) {
  const fetcher = useFetcher();
  return (
    <Here at={at}>
      <Form method="post"><button id="go" name="does" value="send">Send</button></Form>
      <Form method="post"><button id="stay" name="does" value="check">Check</button></Form>
      {actionData?.said && <p id="said">{actionData.said}</p>}
      <fetcher.Form method="post"><button id="aside" name="does" value="check">Check aside</button></fetcher.Form>
      {fetcher.data?.said && <p id="said-aside">{fetcher.data.said}</p>}
    </Here>
  );
}
