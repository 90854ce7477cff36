package cache

import "io"

// readAll returns the rest of a body, and the error in brackets if it did not end.
func readAll(r io.Reader) string {
	b, err := io.ReadAll(r)
	if err != nil {
		return string(b) + "[" + err.Error() + "]"
	}
	return string(b)
}
