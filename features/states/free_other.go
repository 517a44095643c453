//go:build !unix

package states

// checkFree knows no way to ask here.
func checkFree(string, int64) error { return nil }
