import { useEffect } from 'react';
import { Links, Meta, Outlet, Scripts, ScrollRestoration, useNavigate, useRevalidator } from 'react-router';

export function Layout({ children }) {
  return (
    <html lang="en">
      <head>
        <meta charSet="utf-8" />
        <link rel="icon" href="data:," />
        <link rel="stylesheet" href="/_/style.css" />
        <script type="module" async src="/_/count.js" />
        <Meta />
        <Links />
      </head>
      <body>
        {children}
        <ScrollRestoration />
        <Scripts />
      </body>
    </html>
  );
}

export default function Root() {
  const navigate = useNavigate();
  const { revalidate } = useRevalidator();
  useEffect(() => {
    window.there = { push: navigate, refresh: revalidate };
  }, [navigate, revalidate]);
  return <Outlet />;
}

export function ErrorBoundary() {
  return <p id="none">There is nothing here.</p>;
}
