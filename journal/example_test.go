package journal_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"pitboss/journal"
)

// A frame is sealed outside any lock, appended inside the caller's critical section, and acknowledged to others only
// when it is written. Dropping its key erases it.
func Example() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	cfg := journal.DefaultConfig()
	cfg.Dir, cfg.MasterKey = dir, []byte("32 bytes from a secret somewhere")

	j, _, err := journal.OpenFile(cfg)
	if err != nil {
		panic(err)
	}
	defer j.Close()
	ctx := context.Background()
	player, err := j.Keys().New()
	if err != nil {
		panic(err)
	}
	for _, text := range []string{"bet", "win"} {
		s, err := j.Seal(journal.Frame{Kind: 1, KeyID: player, Time: 1_700_000_000_000_000, Payload: []byte(text)})
		if err != nil {
			panic(err)
		}
		p, err := j.Append(s)
		if err != nil {
			panic(err)
		}
		if err := j.Written(ctx, p); err != nil {
			panic(err)
		}
		s.Release()
	}
	show := func() {
		c, err := j.Read(journal.Pos{})
		if err != nil {
			panic(err)
		}
		defer c.Close()
		for {
			f, err := c.Next(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				panic(err)
			}
			fmt.Printf("%v %q erased: %v\n", f.Pos, f.Payload, f.Erased)
		}
	}
	show()
	if err := j.Keys().Drop(player); err != nil {
		panic(err)
	}
	show()
	// Output:
	// 0/1 "bet" erased: false
	// 0/2 "win" erased: false
	// 0/1 "" erased: true
	// 0/2 "" erased: true
}
