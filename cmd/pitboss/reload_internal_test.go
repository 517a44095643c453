package main

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// bundleVersion makes the house's bundle another one, as a trainer would: features is appended to its feature set, where
// groups are named first.
func (h house) bundleVersion(t *testing.T, version, groups, features string) {
	t.Helper()
	set, manifest := h.path("bundle/features.yaml"), h.path("bundle/bundle.yaml")
	text := strings.Replace(read(t, set), "groups:\n", "groups:\n"+groups, 1) + features
	write(t, set, text)
	listed := fmt.Sprintf("- name: features.yaml\n  size: %d\n  sha256: %x", len(text), sha256.Sum256([]byte(text)))
	of := regexp.MustCompile(`- name: features\.yaml\s+size: \d+\s+sha256: \w+`)
	said := of.ReplaceAllString(read(t, manifest), listed)
	write(t, manifest, regexp.MustCompile(`version: '\d+'`).ReplaceAllString(said, "version: '"+version+"'"))
}

func (r *running) reload(t *testing.T) (code int, body string) {
	t.Helper()
	code, data := r.do(t, http.MethodPost, "/v1/admin/bundle:reload", "{}")
	return code, string(data)
}

// modelOf decides about one more event and gives the version of the model that did.
func modelOf(t *testing.T, r *running, id string) string {
	t.Helper()
	_, d := decided(t, r, id)
	return d.GetModel().GetVersion()
}

// A bundle is read again without a restart, while decisions are made: what is refused changes nothing, new groups are built
// from the journal first, and every decision replays by the bundle that made it.
func TestReloadBundle(t *testing.T) {
	h := newHouse(t)
	h.bundleVersion(t, "1", "", "")
	r := serve(t, h)
	if got := modelOf(t, r, "v1"); got != "1" {
		t.Fatalf("version %q decides, want 1", got)
	}
	stop, failed := make(chan struct{}), ""
	var load sync.WaitGroup
	load.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			code, data, err := call(t.Context(), http.MethodPost, r.http+"/v1/decisions", r.key, bet(fmt.Sprint("load-", i), 100))
			if err != nil || code != http.StatusOK {
				failed = fmt.Sprintf("status %d, %v: %s", code, err, data)
				return
			}
		}
	})

	// Another model, the same features.
	h.bundleVersion(t, "2", "", "")
	if code, body := r.reload(t); code != http.StatusOK || !strings.Contains(body, `"version":"2"`) || !strings.Contains(body, `"state":"serving"`) {
		t.Errorf("a bundle of the same features: %d %s", code, body)
	}
	if got := modelOf(t, r, "v2"); got != "2" {
		t.Errorf("version %q decides, want 2", got)
	}

	// What is not what its trainer made is refused.
	model := h.path("bundle/model.txt")
	good := read(t, model)
	write(t, model, good+" ")
	if code, body := r.reload(t); code != http.StatusConflict || !strings.Contains(body, "BUNDLE_REFUSED") || strings.Contains(body, h.dir) {
		t.Errorf("a damaged bundle: %d %s", code, body)
	}
	write(t, model, good)
	if got := modelOf(t, r, "refused"); got != "2" {
		t.Errorf("version %q decides after a refusal, want 2", got)
	}

	// A feature that counts what came before it.
	h.bundleVersion(t, "3", "  bets_of_ip: {entity: ip, match: {type: bet.placed}}\n",
		"  - {name: bets_of_ip_30d, group: bets_of_ip, aggregate: count, window: 30d, current: exclude}\n")
	if code, body := r.reload(t); code != http.StatusOK || !strings.Contains(body, `"version":"3"`) {
		t.Errorf("a bundle of a new feature: %d %s", code, body)
	}
	until := time.Now().Add(time.Minute)
	for i := 0; modelOf(t, r, fmt.Sprint("v3-", i)) != "3"; i++ {
		if time.Now().After(until) {
			t.Fatal("version 3 does not come to decide")
		}
	}
	close(stop)
	load.Wait()
	if failed != "" {
		t.Errorf("a decision failed meanwhile: %s", failed)
	}
	_, d := decided(t, r, "last")
	code, data := r.do(t, http.MethodGet, "/v1/decisions/"+d.GetDecisionId()+"?explain=full", "")
	full := &pb.Decision{}
	if err := protojson.Unmarshal(data, full); err != nil || code != http.StatusOK {
		t.Fatalf("status %d, %v: %s", code, err, data)
	}
	if got := metric(t, r, "pitboss_registry_reloads_total"); got != "2" {
		t.Errorf("%s bundles were read again, want 2", got)
	}
	if got := metric(t, r, "pitboss_registry_reload_refusals_total"); got != "1" {
		t.Errorf("%s bundles were refused, want 1", got)
	}
	frames := r.service.app.engine.Stats().Applied
	counted := false
	for _, f := range full.GetFeatures() {
		if f.GetName() == "bets_of_ip_30d" {
			counted = true
			if got := f.GetValue(); got != float64(frames-1) {
				t.Errorf("the new feature counts %v bets, want all %d before this one", got, frames-1)
			}
		}
	}
	if !counted {
		t.Errorf("the decision does not show the new feature: %s", data)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	stored, err := registry.ListStored(filepath.Join(h.dir, "data", "bundles"))
	if err != nil || len(stored) != 3 {
		t.Errorf("the store has %v, %v; want the 3 bundles that decided", stored, err)
	}
	if out := must(t, "replay", "--config", h.config, "--all"); !strings.Contains(out.out, fmt.Sprintf(" %d the same bytes, 0 different, 0 could not", frames)) {
		t.Errorf("replay: %v", out)
	}
}

// metric reads one figure of /metrics.
func metric(t *testing.T, r *running, name string) string {
	t.Helper()
	_, data := r.do(t, http.MethodGet, "/metrics", "")
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("there is no %s in the metrics", name)
	return ""
}

// A bundle that reads the timeline is refused where nobody follows it: its values would be missing for ever.
func TestReloadNeedsTheTimeline(t *testing.T) {
	const reads = "  - {name: rounds_open, source: timeline, key: player_never_closed}\n"
	h := newHouse(t)
	h.bundleVersion(t, "1", "", "")
	r := serve(t, h)
	h.bundleVersion(t, "2", "", reads)
	if code, body := r.reload(t); code != http.StatusConflict {
		t.Errorf("nobody follows the timeline: %d %s", code, body)
	}
	if got := modelOf(t, r, "v1"); got != "1" {
		t.Errorf("version %q decides, want 1", got)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = serve(t, h) // its set says that the timeline is read
	if code, body := r.reload(t); code != http.StatusOK {
		t.Errorf("after a start: %d %s", code, body)
	}
}
