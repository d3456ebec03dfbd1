import Link from 'next/link';

// A page: where it is, an image of its own, and links by their ids.
export default function Here({ at, links = {}, children }) {
  const step = at.split('/')[1];
  return (
    <main>
      <h1 id="here" data-at={at}>{at}</h1>
      <img src={`/_/dot${at.replaceAll('/', '-')}.png`} alt="" />
      {Object.entries(links).map(([id, to]) => (
        <Link key={id} id={id} href={`/${step}/${to}`}>{to}</Link>
      ))}
      {children}
    </main>
  );
}
