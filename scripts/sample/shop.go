// Package shop serves the books of a small shop.
package shop

import (
	"encoding/json"
	"fmt"
	"os"
)

// Book is one title, and how many copies of it are left.
type Book struct {
	ISBN       string `json:"isbn"`
	Title      string `json:"title"`
	PriceCents int    `json:"priceCents"`
	Copies     int    `json:"copies"`
}

// Load reads the books from a file.
func Load(path string) ([]Book, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	var books []Book
	if err := json.Unmarshal(data, &books); err != nil {
		return nil, fmt.Errorf("parsing %s: %w", path, err)
	}
	return books, nil
}

// Save writes the books to a file.
func Save(path string, books []Book) error {
	data, err := json.Marshal(books)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return os.WriteFile(path, data, 0o600)
}
