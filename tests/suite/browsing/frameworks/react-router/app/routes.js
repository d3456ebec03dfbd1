import { route } from '@react-router/dev/routes';

const paths = ['home', 'posts/:slug', 'list', 'form', 'done', 'about', 'guide', 'old', 'bare'];

export default paths.map((path) => route(`:step/${path}`, `routes/${path.split('/')[0]}.jsx`));
