package audit_test

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/encoding/protodelim"

	"pitboss/audit"
	"pitboss/decide"
	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// A test flag, set once by the testing package and never after.
var rewrite = flag.Bool("rewrite", false, "write the records of the current logic version anew")

// Records of every logic version replay with the same bytes, for ever. testdata/vN has some of version N, with the
// bundle that made them. A change that fails here alters decisions that were made: it needs a new logic version beside
// the old one, and its own records (-rewrite); rewriting those of a version that was released is forgery.
func TestRecordsOfEveryVersion(t *testing.T) {
	if *rewrite {
		writeRecords(t, filepath.Join("testdata", fmt.Sprintf("v%d", decide.LogicVersion)))
	}
	dirs, err := filepath.Glob("testdata/v*")
	if err != nil || len(dirs) != decide.LogicVersion {
		t.Fatalf("records of %d versions (%v), want %d", len(dirs), err, decide.LogicVersion)
	}
	kinds, err := features.NewKinds(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		reg, err := registry.Open(registry.Config{Kinds: kinds})
		if err != nil {
			t.Fatal(err)
		}
		_, err = reg.Use(filepath.Join(dir, "bundle"))
		if err != nil {
			t.Fatal(err)
		}
		a, err := audit.New(audit.Config{Journal: journal.NewMemory(journal.MemoryConfig{}), Registry: reg, Kinds: kinds})
		if err != nil {
			t.Fatal(err)
		}
		for i, frame := range readRecords(t, filepath.Join(dir, "records.bin")) {
			result, err := a.Replay(t.Context(), frame)
			if err != nil {
				t.Errorf("%s, record %d: %v", dir, i, err)
			}
			for _, d := range result.Diffs {
				t.Errorf("%s, record %d, decision %s: %v", dir, i, result.DecisionID, d)
			}
		}
	}
}

func readRecords(t testing.TB, path string) []*pb.EventFrame {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(bytes.NewReader(data))
	var out []*pb.EventFrame
	for {
		frame := &pb.EventFrame{}
		if err := protodelim.UnmarshalFrom(r, frame); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		out = append(out, frame)
	}
}

// writeRecords keeps every fourth record of the run, and the bundle.
func writeRecords(t *testing.T, dir string) {
	t.Helper()
	r := newRig(t)
	r.run()
	var out bytes.Buffer
	for i, frame := range r.frames() {
		if i%4 != 1 || frame.AppliedAt != nil {
			continue
		}
		frame.Decision.Observations = nil
		if _, err := protodelim.MarshalTo(&out, frame); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "bundle"), os.DirFS(worded)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "records.bin"), out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
