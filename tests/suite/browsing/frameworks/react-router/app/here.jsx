import { Link } from 'react-router';

// A page: where it is, an image of its own, and links by their ids. Links to posts fetch them ahead when they are pointed
// at; the others do not, as is the default.
export function Here({ at, links = {}, children }) {
  const step = at.split('/')[1];
  return (
    <main>
      <h1 id="here" data-at={at}>{at}</h1>
      <img src={`/_/dot${at.replaceAll('/', '-')}.png`} alt="" />
      {Object.entries(links).map(([id, to]) => (
        <span key={id}>
          <Link id={id} to={`/${step}/${to}`} prefetch={to.startsWith('posts/') ? 'intent' : undefined}>{to}</Link>{' '}
        </span>
      ))}
      {children}
    </main>
  );
}

export function Page({ loaderData: { at, links } }) {
  return <Here at={at} links={links} />;
}
