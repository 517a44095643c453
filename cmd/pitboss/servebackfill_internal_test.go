package main

import (
	"encoding/csv"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"

	pb "pitboss/proto/pitboss/v1"
)

// A server whose bundle gained groups builds them from a file of what came before its journal while it decides, says how far
// it is, and then has what a state has that saw everything from the start. The file is a pipe, so that the test says when it
// ends.
func TestServeBackfillsFromFile(t *testing.T) {
	h := newHouse(t)
	all, old, fresh := h.path("all.jsonl"), h.path("old.jsonl"), h.path("new.jsonl")
	must(t, "sim", "--tenant", demoTenant, "--players", "20", "--duration", "6h", "--events", "1500", "--seed", "3",
		"--start", time.Now().UTC().Add(-8*time.Hour).Truncate(time.Hour).Format(time.RFC3339), "--out", all)
	lines := strings.SplitAfter(read(t, all), "\n")
	lines = lines[:len(lines)-1]
	write(t, fresh, strings.Join(lines[len(lines)*4/10:], ""))
	before := lines[:len(lines)*6/10]
	must(t, "ingest", "--config", h.config, "--source", fresh, "--history")
	h.bundleVersion(t, "2", "  bets_of_game: {entity: game, match: {type: bet.placed}}\n",
		"  - {name: game_stake_7d, group: bets_of_game, aggregate: sum, value: amount_base, window: 7d}\n"+
			"  - {name: game_bets_30d, group: bets_of_game, aggregate: count, window: 30d}\n")
	want := gamesFromTheStart(t, h, all)

	pipe := openPipe(t, old)
	r := serveWith(t, h, appOptions{past: pastFlags{source: old, whole: true, prefix: "backfill-"}})
	for i := range 5 {
		if got := modelOf(t, r, fmt.Sprint("meanwhile-", i)); got != "2" {
			t.Errorf("version %q decides while groups are built, want 2", got)
		}
	}
	if got := metric(t, r, "pitboss_features_backfill_groups"); got != "1" {
		t.Errorf("%s groups are being built, want 1", got)
	}
	for game, v := range servedGames(t, r, want) {
		for i, status := range v.status {
			if status != "warming_up" {
				t.Errorf("game %s: value %d is %s while its group is built, want warming_up", game, i, status)
			}
		}
	}

	if _, err := pipe.WriteString(strings.Join(before, "")); err != nil {
		t.Fatal(err)
	}
	if err := pipe.Close(); err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(time.Minute)
	for metric(t, r, "pitboss_features_backfill_groups") != "0" || metric(t, r, "pitboss_features_backfill_joining") != "0" {
		if time.Now().After(until) {
			t.Fatal("the backfill does not end")
		}
		decided(t, r, fmt.Sprint("building-", time.Now().UnixNano()))
	}
	if got := metric(t, r, "pitboss_features_backfill_gathered_events"); got != strconv.Itoa(len(before)) {
		t.Errorf("%s events were gathered, want %d", got, len(before))
	}
	if got := metric(t, r, "pitboss_features_backfill_failed"); got != "0" {
		t.Error("the backfill says that it failed")
	}
	if diff := cmp.Diff(want, servedGames(t, r, want), cmp.AllowUnexported(gameValues{})); diff != "" {
		t.Errorf("what is served is not what a state has that saw everything (-want +got):\n%s", diff)
	}

	// What was built is in the data directory: the next start needs no source.
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = serve(t, h)
	if got := metric(t, r, "pitboss_features_backfill_groups"); got != "0" {
		t.Errorf("after a restart %s groups are being built, want 0", got)
	}
	if diff := cmp.Diff(want, servedGames(t, r, want), cmp.AllowUnexported(gameValues{})); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
}

// openPipe makes a pipe with a name. While it is open here, whoever reads it waits for more.
func openPipe(t *testing.T, path string) *os.File {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skipf("no pipes with names here: %v", err)
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0) // to read as well, so that opening does not wait for a reader
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pipe.Close() })
	return pipe
}

// gameValues are game_stake_7d and game_bets_30d of a game.
type gameValues struct {
	values, status []string
}

// gamesFromTheStart gives the values of each game by a state that saw all events of a file.
func gamesFromTheStart(t *testing.T, h house, all string) map[string]gameValues {
	t.Helper()
	r := must(t, "features", "eval", "--set", filepath.Join(h.path("bundle"), "features.yaml"), "--config", h.config, "--source", all, "--final")
	rows, err := csv.NewReader(strings.NewReader(r.out)).ReadAll() // tenant, kind, entity, t, features
	if err != nil {
		t.Fatal(err)
	}
	games, columns := map[string]gameValues{}, gameColumns(t, rows[0])
	for _, row := range rows[1:] {
		if row[1] == "game" {
			games[row[2]] = gameValues{[]string{row[columns[0]], row[columns[1]]}, []string{"present", "present"}}
		}
	}
	if len(games) < 4 {
		t.Fatalf("only %d games in %d rows", len(games), len(rows))
	}
	return games
}

func gameColumns(t *testing.T, names []string) (columns [2]int) {
	t.Helper()
	for i, name := range names {
		switch name {
		case "game_stake_7d":
			columns[0] = i
		case "game_bets_30d":
			columns[1] = i
		}
	}
	if columns[0]*columns[1] == 0 {
		t.Fatalf("the columns are %v", names)
	}
	return columns
}

// servedGames asks the server for the values of games.
func servedGames(t *testing.T, r *running, of map[string]gameValues) map[string]gameValues {
	t.Helper()
	req := &pb.GetFeaturesRequest{Tenant: demoTenant, Features: []string{"game_stake_7d", "game_bets_30d"}}
	games := slices.Sorted(maps.Keys(of))
	for _, game := range games {
		req.Rows = append(req.Rows, &pb.EntityRow{Entities: []*pb.Identifier{{Kind: "game", Value: game, Form: pb.Form_FORM_RAW}}})
	}
	body, err := protojson.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	code, data := r.do(t, http.MethodPost, "/v1/features:get", string(body))
	resp := &pb.GetFeaturesResponse{}
	if code != http.StatusOK {
		t.Fatalf("status %d: %s", code, data)
	}
	if err := protojson.Unmarshal(data, resp); err != nil {
		t.Fatal(err)
	}
	served := map[string]gameValues{}
	for i, row := range resp.GetRows() {
		var v gameValues
		for _, value := range row.GetValues() {
			v.values = append(v.values, strconv.FormatFloat(value.GetValue(), 'g', -1, 64))
			v.status = append(v.status, value.GetStatus())
		}
		served[games[i]] = v
	}
	return served
}
