package journal

import (
	"errors"
	"fmt"
	"time"
)

// DefaultMaxPayloadBytes bounds a payload unless configured otherwise: 1 MiB.
const DefaultMaxPayloadBytes = 1 << 20

// Config configures a journal in files. DefaultConfig has all but Dir and MasterKey.
type Config struct {
	// Dir is the directory; it is made if it is not there. It belongs to the journal: nothing else may lie in it.
	Dir string
	// MasterKey wraps the keys of the payloads: 32 bytes, the same as long as the journal lives. It is not stored.
	MasterKey []byte
	// Partition is that of all positions. Default 0; another value is for many machines with a journal each.
	Partition uint32
	// SegmentBytes is the size at which a segment is finished and the next begins. Default 64 MiB, from 4 KiB to
	// 1 GiB. Smaller ones are compressed sooner and give retention a finer grain; each costs one fsync and a few KB
	// of RAM.
	SegmentBytes int64
	// BufferBytes bounds what is appended and not written yet; Append returns ErrFull beyond. Twice as much is
	// reserved. Default 8 MiB, up to 256 MiB: about a second of the highest rate while the disk is busy.
	BufferBytes int
	// MaxPayloadBytes bounds a payload. Default 1 MiB, up to 15 MiB and to half of BufferBytes.
	MaxPayloadBytes int
	// SyncEvery is the time after a write until fsync at the latest: what a power cut may take back. Default 10 ms,
	// from 0 (as fast as the disk can) to 10 s.
	SyncEvery time.Duration
	// Compact compresses finished segments in the background. Default true. False is for tests and for disks that
	// compress themselves; retention needs it.
	Compact bool
	// KeepBytes makes retention remove the oldest compact segments while all together are larger. Default 0: no
	// limit. Segments that SetFloor still needs stay in any case.
	KeepBytes int64
	// KeepFor makes retention remove compact segments whose newest frame is older. Default 0: no limit.
	KeepFor time.Duration
	// KeepAtLeast keeps segments with a frame that is younger, whatever KeepBytes says: what corrections may still take back
	// (30 days). The disk must have room for it. Default 0: KeepBytes alone decides.
	KeepAtLeast time.Duration
	// AcceptUnsyncedLoss opens a journal in which a frame is bad and later ones are good, if as far as the log can
	// tell none of them had been fsynced, by cutting before the bad one. A power cut can leave that on some file
	// systems. Default false: refuse, so that a person decides. The Report says what was cut.
	AcceptUnsyncedLoss bool
}

// DefaultConfig returns the configuration that is right for one machine; Dir and MasterKey must be set.
func DefaultConfig() Config {
	return Config{
		SegmentBytes:    64 << 20,
		BufferBytes:     8 << 20,
		MaxPayloadBytes: DefaultMaxPayloadBytes,
		SyncEvery:       10 * time.Millisecond,
		Compact:         true,
	}
}

// Validate returns all that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Dir != "", "journal: dir must be set")
	check(len(c.MasterKey) == 32, "journal: master_key has %d bytes, must have 32", len(c.MasterKey))
	check(c.SegmentBytes >= 4<<10 && c.SegmentBytes <= 1<<30, "journal: segment_bytes %d must be from 4 KiB to 1 GiB", c.SegmentBytes)
	check(c.BufferBytes > 0 && c.BufferBytes <= 256<<20, "journal: buffer_bytes %d must be from 1 to 256 MiB", c.BufferBytes)
	check(c.MaxPayloadBytes > 0 && c.MaxPayloadBytes <= 15<<20 && c.MaxPayloadBytes <= c.BufferBytes/2,
		"journal: max_payload_bytes %d must be from 1 to 15 MiB and at most half of buffer_bytes", c.MaxPayloadBytes)
	check(c.SyncEvery >= 0 && c.SyncEvery <= 10*time.Second, "journal: sync_every %v must be from 0 to 10s", c.SyncEvery)
	check(c.KeepBytes >= 0, "journal: keep_bytes %d must not be negative", c.KeepBytes)
	check(c.KeepFor >= 0, "journal: keep_for %v must not be negative", c.KeepFor)
	check(c.KeepAtLeast >= 0, "journal: keep_at_least %v must not be negative", c.KeepAtLeast)
	check(c.KeepFor <= 0 || c.KeepFor >= c.KeepAtLeast, "journal: keep_for %v must not be less than keep_at_least %v", c.KeepFor, c.KeepAtLeast)
	check(c.Compact || c.KeepBytes == 0 && c.KeepFor == 0, "journal: keep_bytes and keep_for need compact: true")
	return errors.Join(errs...)
}

// Report says what opening found and did.
type Report struct {
	// New says that the directory was empty.
	New bool
	// Clean says that the journal had been closed, not killed.
	Clean bool
	// Head and Tail are the positions of the newest and the oldest frame.
	Head, Tail Pos
	// Segments is the number of files, Bytes their size.
	Segments int
	Bytes    int64
	// TruncatedFile and TruncatedBytes say what was cut off the last segment: the rest of a batch whose write was
	// interrupted. Nobody had been told that it was written.
	TruncatedFile  string
	TruncatedBytes int64
	// TruncatedFrames is the number of good frames that were cut off with a bad one before them; only with
	// Config.AcceptUnsyncedLoss.
	TruncatedFrames int
	// RemovedFiles are the names of unfinished files of the killed process.
	RemovedFiles []string
	// Took is the time that opening needed.
	Took time.Duration
}
