export default function NotFound() {
  return <p id="none">There is nothing here.</p>;
}
