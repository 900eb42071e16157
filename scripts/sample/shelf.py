"""The stock of a small bookshop."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Book:
    """One title, and how many copies of it are left."""

    isbn: str
    title: str
    price_cents: int
    copies: int = 0


@dataclass
class Shelf:
    """Every book in the shop, by its ISBN."""

    books: dict[str, Book] = field(default_factory=dict)

    def add(self, book: Book) -> None:
        if book.isbn in self.books:
            raise ValueError(f"{book.title} is on the shelf already")
        self.books[book.isbn] = book

    def sell(self, isbn: str, copies: int = 1) -> int:
        book = self.books.get(isbn)
        if book is None:
            raise KeyError(f"no book with ISBN {isbn}")
        if book.copies < copies:
            raise ValueError(f"only {book.copies} of {book.title} are left")
        book.copies -= copies
        return book.price_cents * copies

    def restock(self, isbn: str, copies: int) -> None:
        book = self.books.get(isbn)
        if book is None:
            raise KeyError(f"no book with ISBN {isbn}")
        book.copies += copies

    def worth_cents(self) -> int:
        return sum(book.price_cents * book.copies for book in self.books.values())
