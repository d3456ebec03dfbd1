import { useLocation } from 'react-router';
import { Here } from '../here';

// Without a loader.
export default function Bare() {
  return <Here at={useLocation().pathname} links={{ go: 'posts/1' }} />;
}
