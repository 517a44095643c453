package files

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	pb "pitboss/proto/pitboss/v1"
)

// Options say how a file of events is read.
type Options struct {
	// Sort takes events in any order and gives them in order of time, by way of temporary files. Default false: a file
	// whose times go backwards is refused. A map's `order: unsorted` sets it too.
	Sort bool
	// AsArrived gives events as the file has them, whatever their times: as they arrived. It takes the place of Sort. Labels
	// that a map makes of rows come when the newest time so far has reached theirs.
	AsArrived bool
	// Shuffle, unless nil, permutes the rows first, by this seed. What is sorted after that comes out the same but for
	// Row.Place. It implies Sort, unless AsArrived says otherwise.
	Shuffle *uint64
	// TempDir is where sorting puts its files; the system's own where empty.
	TempDir string
	// SortRows is how many rows sorting holds in memory at once; 0 for 200,000, about 300 MB. Lower it where memory is short.
	SortRows int
	// OnReject is told each row that is not given, as it is met; nil for nobody.
	OnReject func(Reject)
	// OnProgress is told about every 10,000 rows; nil for nobody.
	OnProgress func(Progress)
}

// Row is one event of a file.
type Row struct {
	// Event is as the file says; the edge has not seen it yet.
	Event *pb.Event
	// Number is the row, the first below the header being 1; of JSON lines, the line.
	Number int64
	// Place says where the row stands among the others: its Number, or where shuffling put it.
	Place int64
	// Label says that the event is a label that the map made of the row, not the row's own event.
	Label bool
	// Kept are the columns that the map passes through, as Columns names them; nil for labels.
	Kept []Cell
}

// ReceivedAt is the event's own time: history has come in when it happened, so that the bounds on time hold in its time.
func (r *Row) ReceivedAt() time.Time { return r.Event.GetOccurredAt().AsTime() }

// Reject is a row that is not given, or a label that a row does not get.
type Reject struct {
	// Row is as Row.Number.
	Row int64
	// Column is the one at fault; empty for the whole row.
	Column string
	// Reason is stable: malformed, too_long, missing_value, bad_value, unmapped_value.
	Reason string
	// Message says what is wrong with the value.
	Message string
}

// String is one line for people.
func (r Reject) String() string {
	if r.Column == "" {
		return fmt.Sprintf("row %d: %s: %s", r.Row, r.Reason, r.Message)
	}
	return fmt.Sprintf("row %d, column %s: %s: %s", r.Row, r.Column, r.Reason, r.Message)
}

// RejectKey is what rejects are counted by.
type RejectKey struct {
	Column, Reason string
}

// Progress says how far a file has been read.
type Progress struct {
	// Rows were read, of TotalRows; -1 where that is not known before the end.
	Rows, TotalRows int64
	// Bytes were read, of TotalBytes; for Parquet in proportion to the rows.
	Bytes, TotalBytes int64
	// Events were given, Rejected rows and labels not.
	Events, Rejected int64
	// Sorting says that events are being sorted: none is given before the file has been read to its end.
	Sorting bool
}

// Fraction is the part that has been read, 0 to 1.
func (p Progress) Fraction() float64 {
	if p.TotalBytes == 0 {
		return 1
	}
	return float64(p.Bytes) / float64(p.TotalBytes)
}

// Format is how a file is written.
type Format uint8

// The formats that are read and written.
const (
	JSONL Format = iota + 1
	CSV
	Parquet
)

// FormatOf tells the format by the file's name: .jsonl or .ndjson, .csv, .parquet.
func FormatOf(path string) (Format, error) {
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".jsonl", ".ndjson":
		return JSONL, nil
	case ".csv":
		return CSV, nil
	case ".parquet", ".pq":
		return Parquet, nil
	case ".gz", ".zst", ".bz2", ".xz", ".zip", ".lz4":
		return 0, fmt.Errorf("cannot read %q as it is compressed: decompress it first (Parquet is compressed inside)", path)
	default:
		return 0, fmt.Errorf("cannot tell the format of %q: its name must end in .jsonl, .csv or .parquet", path)
	}
}
