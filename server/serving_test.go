package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/server"
)

func rowsJSON(n int, rest string) string {
	rows := slices.Repeat([]string{`{"entities":[{"kind":"player","value":"jane","form":"FORM_RAW"}]}`}, n)
	return `{"rows":[` + strings.Join(rows, ",") + `]` + rest + `}`
}

func TestGetFeatures(t *testing.T) {
	r := start(t, func(cfg *server.Config) {
		cfg.FeatureServices = map[string][]string{"velocity": {"bets_1m"}, "gone": {"was_here"}}
		cfg.Limits.FeatureRows, cfg.Limits.FeatureValues = 5, 7
	})
	got := r.call(t, "reader", "POST", "/v1/features:get", rowsJSON(2, `,"features":["since_deposit_s","bets_1m"]`))
	row := `"values":[{"status":"missing","event_time":`
	if got.status != http.StatusOK || strings.Count(got.body, row) != 2 || !strings.Contains(got.body, `"feature_names":["since_deposit_s","bets_1m"]`) ||
		!strings.Contains(got.body, `"value":3,"status":"present"`) || !strings.Contains(got.body, `"age_ms":"1500"`) || !strings.Contains(got.body, `"known":true,"position":"0/12"`) ||
		strings.Contains(got.body, "jane") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	answer, err := pb.NewFeatureServiceClient(r.conn).GetFeatures(r.as(t.Context(), "analyst"), &pb.GetFeaturesRequest{
		FeatureService: "test", Rows: []*pb.EntityRow{{Entities: []*pb.Identifier{{Kind: "player", Value: "jane", Form: pb.Form_FORM_RAW}}}},
	})
	if err != nil || len(answer.GetFeatureNames()) != 3 || answer.GetFeatureSet() != "test" || answer.GetRows()[0].GetValues()[2].GetValue() != 9 {
		t.Errorf("the whole set by gRPC: %v, %v", answer, err)
	}
	f := func(name, body string, status int, path string) {
		t.Helper()
		if got := r.call(t, "reader", "POST", "/v1/features:get", body); got.status != status || got.err.Path != path {
			t.Errorf("%s: got %d %s, want %d at %q", name, got.status, got.body, status, path)
		}
	}
	f("a service", rowsJSON(5, `,"feature_service":"velocity"`), 200, "")
	f("an unknown service", rowsJSON(1, `,"feature_service":"x"`), 404, "feature_service")
	f("a service of features that are gone", rowsJSON(1, `,"feature_service":"gone"`), 404, "feature_service")
	f("an unknown feature", rowsJSON(1, `,"features":["bets_1m","x"]`), 404, "features[1]")
	f("both", rowsJSON(1, `,"features":["bets_1m"],"feature_service":"velocity"`), 400, "features")
	f("neither", rowsJSON(1, ``), 400, "features")
	f("no rows", rowsJSON(0, `,"features":["bets_1m"]`), 400, "rows")
	f("too many rows", rowsJSON(6, `,"features":["bets_1m"]`), 400, "rows")
	f("too many values", rowsJSON(4, `,"features":["bets_1m","since_deposit_s"]`), 413, "rows")
	f("another tenant", rowsJSON(1, `,"features":["bets_1m"],"tenant":"other"`), 403, "tenant")
	f("a row of nobody", `{"rows":[{}],"features":["bets_1m"]}`, 400, "rows[0].entities")
	f("two of a kind", `{"features":["bets_1m"],"rows":[{"entities":[{"kind":"player","value":"a","form":"FORM_RAW"},{"kind":"player","value":"b","form":"FORM_RAW"}]}]}`, 400, "rows[0].entities[1].kind")
	f("no form", `{"features":["bets_1m"],"rows":[{"entities":[{"kind":"player","value":"a"}]}]}`, 400, "rows[0].entities[0].form")
}

func TestPushFeatures(t *testing.T) {
	r := start(t, nil)
	var pushed []features.Push
	r.backend.push = func(_ context.Context, items []features.Push) ([]features.PushResult, error) {
		pushed = append(pushed, items...)
		results := make([]features.PushResult, len(items))
		for i := range items {
			results[i].Outdated = i
			if items[i].Values[0].Key == "unknown" {
				results[i].Err = fmt.Errorf("x: %w", features.ErrUnknownPush)
			}
		}
		return results, nil
	}
	one := func(kind, value string) string {
		return `{"entity":{"kind":"player","value":"` + kind + `","form":"FORM_RAW"},` + value + `}`
	}
	got := r.call(t, "pusher", "POST", "/v1/features:push", `{"entities":[`+strings.Join([]string{
		one("a", `"values":[{"key":"ltv","number":2.5},{"key":"n","int":"3"},{"key":"vip","flag":true},{"key":"old"}]`),
		one("b", `"values":[{"key":"unknown","number":1}]`),
		one("c", `"values":[]`),
		one("d", `"as_of":"2999-01-01T00:00:00Z","values":[{"key":"ltv","number":1}]`),
		one("e", `"values":[{"key":"ltv","number":"NaN"}]`),
		one("f", `"values":[{"key":"ltv","number":1},{"key":"ltv","number":2}]`),
		one("g", `"values":[{"key":"ltv","int":"9007199254740993"}]`),
	}, ",")+`]}`)
	var answer struct {
		Results []struct {
			Status string `json:"status"`
			Error  struct {
				Path string `json:"path"`
			} `json:"error"`
		} `json:"results"`
	}
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil || got.status != http.StatusOK || len(answer.Results) != 7 {
		t.Fatalf("got %d %s, %v", got.status, got.body, err)
	}
	for i, path := range []string{"", "entities[1].values", "entities[2].values", "entities[3].as_of", "entities[4].values[0].number", "entities[5].values[1].key", "entities[6].values[0].int"} {
		if res := answer.Results[i]; res.Error.Path != path || (path == "") != (res.Status == "PUBLISH_STATUS_ACCEPTED") {
			t.Errorf("entity %d: got %+v, want %q", i, res, path)
		}
	}
	if len(pushed) != 2 || len(pushed[0].Values) != 4 || pushed[0].Values[0].Number != 2.5 || pushed[0].Values[2].Number != 1 || pushed[0].Tenant != "casino" ||
		strings.Contains(pushed[0].Entity.Alias, "a\"") || time.Since(time.UnixMicro(pushed[0].AsOf)) > time.Minute {
		t.Errorf("pushed %+v", pushed)
	}
	if got := r.call(t, "pusher", "POST", "/v1/features:push", `{}`); got.status != 400 || got.err.Path != "entities" {
		t.Errorf("nothing: got %d %s", got.status, got.body)
	}
	if got := r.call(t, "engine", "POST", "/v1/features:push", `{}`); got.status != 403 {
		t.Errorf("by an engine: got %d", got.status)
	}
	_, err := pb.NewFeatureServiceClient(r.conn).PushFeatures(r.as(t.Context(), "other"), &pb.PushFeaturesRequest{Tenant: "casino"})
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("for another tenant: got %v", err)
	}
}

// The request and answer of Feast's clients (feast/infra/online_stores/remote.py).
func TestFeastShape(t *testing.T) {
	r := start(t, func(cfg *server.Config) {
		cfg.FeatureServices = map[string][]string{"velocity": {"bets_1m"}}
		cfg.Limits.FeatureRows = 3
	})
	f := func(name, body string, status int, want string) {
		t.Helper()
		got := r.call(t, "reader", "POST", "/get-online-features", body)
		if got.status != status || status == 200 && !strings.Contains(got.body, want) || status != 200 && got.err.Path != want {
			t.Errorf("%s: got %d %s, want %d %s", name, got.status, got.body, status, want)
		}
	}
	f("features", `{"entities":{"player":["jane",7]},"features":["player:bets_1m","since_deposit_s"],"full_feature_names":false,"include_feature_view_version_metadata":false}`, 200,
		`{"metadata":{"feature_names":["player","bets_1m","since_deposit_s"]},"results":[{"values":["jane",7],"statuses":["PRESENT","PRESENT"],"event_timestamps":["1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]},`+
			`{"values":[3,3],"statuses":["PRESENT","PRESENT"],"event_timestamps":["20`)
	f("what is missing", `{"entities":{"player":["jane"]},"features":["since_deposit_s"]}`, 200, `{"values":[null],"statuses":["NULL_VALUE"]`)
	f("what the row does not name", `{"entities":{"player":["jane"]},"features":["ip_logins_1h"]}`, 200, `{"values":[null],"statuses":["NOT_FOUND"],"event_timestamps":["1970-01-01T00:00:00Z"]}`)
	f("full names", `{"entities":{"player":["jane"]},"features":["bets:bets_1m","test:since_deposit_s"],"full_feature_names":true}`, 200, `["player","bets__bets_1m","test__since_deposit_s"]`)
	f("a service", `{"entities":{"player_alias":["x"]},"feature_service":"velocity"}`, 200, `["player_alias","bets_1m"]`)
	f("another view", `{"entities":{"player":["jane"]},"features":["device:bets_1m"]}`, 404, "features[0]")
	f("an unknown kind", `{"entities":{"sofa":["jane"]},"features":["bets_1m"]}`, 400, "entities.sofa[0].kind")
	f("columns of two lengths", `{"entities":{"device":["x"],"player":["a","b"]},"features":["bets_1m"]}`, 400, "entities.player")
	f("a column of nothing", `{"entities":{"player":[null]},"features":["bets_1m"]}`, 400, "entities.player[0]")
	f("too many", `{"entities":{"player":["a","b","c","d"]},"features":["bets_1m"]}`, 400, "rows")
	f("no entities", `{"features":["bets_1m"]}`, 400, "entities")
	f("a player twice", `{"entities":{"player":["a"],"player_alias":["b"]},"features":["bets_1m"]}`, 400, "entities.player_alias")
	f("no JSON", `{"entities":3}`, 400, "")
}
