// Package files reads events from files and writes vectors to files: JSON lines of events as they are, and CSV and
// Parquet through a map that says which column is which field (docs/mapping.md). It is what `pitboss batch`, `ingest
// --history` and `features eval` read and write with.
//
// It does not validate events: the edge does, as for every other way in. It decides only what a file can get wrong: rows
// that cannot be read, columns that are missing, times that go backwards. Files are hostile: every allocation is bounded
// (limits.go), and a file that is not what it says ends in an error with its row, never in a panic.
//
// Start reading at OpenEvents, then map.go for the map and mapper.go for what it does to a row; vectors.go for the
// other direction.
package files
