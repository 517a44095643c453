package decide_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pitboss/decide"
	"pitboss/features"
	"pitboss/journal"
	"pitboss/models"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// bigModel is LightGBM's of 200 trees, 31 leaves and 64 features, trained on simulated rows (models/testdata).
func bigModel(b *testing.B) []byte {
	b.Helper()
	f, err := os.Open("../models/testdata/golden/bench_200x31x64.txt.gz")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		b.Fatal(err)
	}
	return bytes.ReplaceAll(data, []byte("Column_"), []byte("column_")) // feature sets have lower-case names
}

// bigSet is a feature set with the model's names: 30 windowed features of five entities, and 34 values of the event,
// so that rows differ as the model's training rows did.
func bigSet(names []string) string {
	s := "format: 1\nname: big\nversion: \"1\"\ngroups:\n"
	kinds := []string{"player", "session", "device", "ip", "ip24"}
	for _, k := range kinds {
		s += fmt.Sprintf("  %s_bets: {entity: %s, match: {type: custom.bench}}\n", k, k)
	}
	s += "features:\n"
	windows := []string{"1m", "5m", "1h", "24h", "7d", "30d"}
	for i, name := range names {
		if i < 30 {
			s += fmt.Sprintf("  - {name: %s, group: %s_bets, aggregate: count, window: %s}\n", name, kinds[i%5], windows[i/5])
		} else {
			s += fmt.Sprintf("  - {name: %s, aggregate: value, value: attr_v%d}\n", name, i)
		}
	}
	return s
}

// bigBundle writes a bundle of the big model, with one golden row of our own making: nothing is proven by it here.
func bigBundle(b *testing.B) *registry.Bundle {
	b.Helper()
	data := bigModel(b)
	model, err := models.Load(data, models.DefaultLimits())
	if err != nil {
		b.Fatal(err)
	}
	names := model.Info().FeatureNames()
	row, margin, leaves, phi := make([]float64, len(names)), make([]float64, 1), make([]float64, 1), make([]float64, len(names))
	var s models.Scratch
	err = model.Predict(row, &s, margin)
	if err != nil {
		b.Fatal(err)
	}
	err = model.Explain(row, &s, leaves, phi)
	if err != nil {
		b.Fatal(err)
	}
	score := 1 / (1 + math.Exp(-margin[0]))
	golden := strings.Join(names, ",") + ",margin,score,base,contrib_" + strings.Join(names, ",contrib_") + "\n"
	cells := []string{}
	for _, v := range append(append(append([]float64{}, row...), margin[0], score, model.Info().Base[0]), phi...) {
		cells = append(cells, strconv.FormatFloat(v, 'g', -1, 64))
	}
	golden += strings.Join(cells, ",") + "\n"
	reasons := "format: 1\nreasons:\n"
	for i := 0; i < len(names); i += 4 {
		reasons += fmt.Sprintf("  - {code: R%d, features: [%s], text: {en: \"{feature} is {value}\"}, player_text: {en: x}}\n", i, strings.Join(names[i:i+4], ", "))
	}
	thresholds, err := os.ReadFile(filepath.Join(tiny, "thresholds.yaml"))
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	manifest := "format: 1\nname: big\nversion: \"1\"\nmodel: {file: model.txt, format: lightgbm}\nfeatures: {file: features.yaml}\n" +
		"calibration: {file: calibration.json}\nthresholds: {file: thresholds.yaml}\nreasons: {file: reasons.yaml}\n" +
		"golden: {file: golden.csv, rows: 1}\nfiles:\n"
	for _, f := range []struct{ name, text string }{
		{"calibration.json", `{"format": 1, "kind": "platt", "a": 1, "b": 0}`}, {"features.yaml", bigSet(names)}, {"golden.csv", golden},
		{"model.txt", string(data)}, {"reasons.yaml", reasons}, {"thresholds.yaml", string(thresholds)},
	} {
		err = os.WriteFile(filepath.Join(dir, f.name), []byte(f.text), 0o600)
		if err != nil {
			b.Fatal(err)
		}
		manifest += fmt.Sprintf("  - {name: %s, size: %d, sha256: \"%x\"}\n", f.name, len(f.text), sha256.Sum256([]byte(f.text)))
	}
	err = os.WriteFile(filepath.Join(dir, registry.ManifestName), []byte(manifest), 0o600)
	if err != nil {
		b.Fatal(err)
	}
	bundle, err := registry.Load(dir, registry.Config{Kinds: newKinds(b)})
	if err != nil {
		b.Fatal(err)
	}
	return bundle
}

// benchEvents are events of 512 players with six entities and values shaped like the model's training rows.
func benchEvents(b *testing.B) []*features.Event {
	b.Helper()
	rng := rand.New(rand.NewPCG(7, 11))
	events := make([]*features.Event, 512)
	for i := range events {
		events[i] = bet(b, func(e *pb.Event) {
			e.EventId, e.Type, e.Payload = fmt.Sprint(i), "custom.bench", nil
			for k, kind := range []string{"player", "session", "device", "game", "ip"} {
				e.Entities[k] = &pb.Identifier{Kind: kind, Value: fmt.Sprint(kind, i), Form: pb.Form_FORM_ALIAS}
			}
			e.Enrichment.Derived[0].Value = fmt.Sprint("n", i/4)
			e.Attributes = map[string]*pb.Value{}
			for j := 30; j < 64; j++ {
				v := rng.NormFloat64()
				if j%3 == 0 {
					v = math.Exp(v)
				}
				if j%8 == 1 {
					v = math.Round(math.Abs(v) * 7)
				}
				if j%4 == 0 && rng.Float64() < 0.1 {
					continue // missing
				}
				e.Attributes[fmt.Sprintf("v%d", j)] = &pb.Value{Kind: &pb.Value_Number{Number: v}}
			}
		})
	}
	return events
}

// BenchmarkDecide is one decision after another, in one goroutine: 6 entities, 64 features (30 windowed), 200 trees of
// 31 leaves, exact contributions. The server's edge and wire are not in it.
func BenchmarkDecide(b *testing.B) {
	bundle := bigBundle(b)
	events := benchEvents(b)
	files := func(b *testing.B) journal.Journal {
		b.Helper()
		cfg := journal.DefaultConfig()
		cfg.Dir, cfg.MasterKey = b.TempDir(), make([]byte, 32)
		j, _, err := journal.OpenFile(cfg)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = j.Close() })
		return j
	}
	for _, run := range []struct {
		name    string
		journal func(b *testing.B) journal.Journal
		opt     decide.Options
	}{
		{"memory", func(*testing.B) journal.Journal { return memory() }, decide.Options{}},
		{"memory/explain=none", func(*testing.B) journal.Journal { return memory() }, decide.Options{Explain: pb.Explain_EXPLAIN_NONE}},
		{"memory/dryrun", func(*testing.B) journal.Journal { return memory() }, decide.Options{DryRun: true}},
		{"files", files, decide.Options{}},
	} {
		b.Run(run.name, func(b *testing.B) {
			r := newRig(b, run.journal(b), bundle)
			decider, err := decide.New(decide.Config{Engine: r.engine, Registry: r.registry, Budget: time.Second})
			if err != nil {
				b.Fatal(err)
			}
			var stages pb.Timings
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				// The same event under another id, a little later: decoding is the edge's work.
				ev := events[i%len(events)]
				ev.ID = strconv.Itoa(i)
				ev.Key = features.MakeEventKey(ev.Tenant, ev.ID)
				ev.OccurredAt += 10_000_000
				ev.ReceivedAt = ev.OccurredAt
				d, err := decider.Decide(b.Context(), ev, run.opt)
				if err != nil || len(d.Degraded) > 0 {
					b.Fatal(d, err)
				}
				stages.Features += d.TimingsUs.Features
				stages.Model += d.TimingsUs.Model
				stages.Explain += d.TimingsUs.Explain
				stages.Policy += d.TimingsUs.Policy
				stages.Record += d.TimingsUs.Record
			}
			for _, s := range []struct {
				name string
				us   int64
			}{{"features", stages.Features}, {"model", stages.Model}, {"explain", stages.Explain}, {"policy", stages.Policy}, {"record", stages.Record}} {
				b.ReportMetric(float64(s.us)/float64(b.N), s.name+"-us")
			}
		})
	}
}
