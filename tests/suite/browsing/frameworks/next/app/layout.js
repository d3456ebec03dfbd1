import Router from './router';

export default function Layout({ children }) {
  return (
    <html lang="en">
      <head>
        <link rel="icon" href="data:," />
        <link rel="stylesheet" href="/_/style.css" />
        <script type="module" async src="/_/count.js" />
      </head>
      <body>
        <Router />
        {children}
      </body>
    </html>
  );
}
