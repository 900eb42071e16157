// What the shop's web page asks its server.

export interface Book {
  isbn: string;
  title: string;
  priceCents: number;
  copies: number;
}

export class ShopError extends Error {}

export async function listBooks(): Promise<Book[]> {
  const response = await fetch("/api/books");
  if (!response.ok) {
    throw new ShopError(`the shop answered ${response.status}`);
  }
  return response.json();
}

export async function sellBook(isbn: string, copies: number): Promise<Book> {
  const response = await fetch(`/api/books/${isbn}/sell`, {
    method: "POST",
    body: JSON.stringify({ copies }),
  });
  if (!response.ok) {
    throw new ShopError(`the shop answered ${response.status}`);
  }
  return response.json();
}

export function formatPrice(cents: number): string {
  return (cents / 100).toFixed(2);
}
