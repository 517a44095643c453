package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features/tiles"
	pb "pitboss/proto/pitboss/v1"
)

// printExplained prints an entity's features, then what they were made of: once for each group and window, however many
// features read it.
func printExplained(out io.Writer, x *pb.ExplainEntityFeaturesResponse) error {
	fmt.Fprintf(out, "at %s; %s\n\n", stamp(x.GetFeaturesAsOf()), freshnessText(x))
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "feature\tvalue\tstatus\taggregate\tgroup\twindow\tfrom")
	for _, f := range x.GetFeatures() {
		from := f.GetExpression()
		switch {
		case f.GetPushedFor() != nil:
			from = "pushed for " + stamp(f.GetPushedFor())
		case f.GetExact():
			from = "exact"
		case f.GetWindowTo() != nil:
			from = fmt.Sprintf("%d tiles", f.GetAllTiles())
		}
		value := "-"
		if f.Value != nil {
			value = valueText(f.GetValue())
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.GetName(), value, f.GetStatus(), f.GetAggregate(), f.GetGroup(), f.GetWindow(), from)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("cannot print: %w", err)
	}
	for _, b := range blocksOf(x) {
		if err := b.print(out); err != nil {
			return fmt.Errorf("cannot print: %w", err)
		}
	}
	return nil
}

// freshnessText says how old what the features are made of is.
func freshnessText(x *pb.ExplainEntityFeaturesResponse) string {
	if x.GetNewestEvent() == nil {
		return "no event of it is known"
	}
	text := fmt.Sprintf("its newest event is of %s, %s before", stamp(x.GetNewestEvent()), time.Duration(x.GetAgeMs())*time.Millisecond)
	if x.ConsumerLag != nil {
		text += fmt.Sprintf("; %d records are not read yet", x.GetConsumerLag())
	}
	return text
}

// block is the features of one group whose windows end at one time: each sees of the same tiles and events the newest.
type block struct {
	features []*pb.FeatureExplanation
}

// blocksOf puts features together that see the same.
func blocksOf(x *pb.ExplainEntityFeaturesResponse) (blocks []block) {
	places := map[string]int{}
	add := func(key string, f *pb.FeatureExplanation) {
		at, ok := places[key]
		if !ok {
			at = len(blocks)
			places[key] = at
			blocks = append(blocks, block{})
		}
		blocks[at].features = append(blocks[at].features, f)
	}
	main := map[string]string{}
	for _, f := range x.GetFeatures() {
		if f.GetWindowTo() == nil || f.GetAllTiles() == 0 && f.GetAllEvents() == 0 {
			continue
		}
		key := fmt.Sprint(f.GetGroup(), " ", f.GetExact(), " ", f.GetWindowTo().GetSeconds())
		if main[f.GetGroup()] == "" {
			main[f.GetGroup()] = key
		}
		add(key, f)
	}
	for _, f := range x.GetFeatures() {
		if f.GetWindowTo() == nil && f.GetAllEvents() > 0 {
			add(cmp.Or(main[f.GetGroup()], f.GetGroup()), f) // a time is of no window
		}
	}
	return blocks
}

// most gives the feature that has the most of something.
func (b *block) most(of func(*pb.FeatureExplanation) uint32) *pb.FeatureExplanation {
	most := b.features[0]
	for _, f := range b.features {
		if of(f) > of(most) {
			most = f
		}
	}
	return most
}

func (b *block) print(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\n%s\n", b.features[0].GetGroup())
	for _, f := range b.features {
		switch {
		case f.GetExact():
			fmt.Fprintf(t, "  %s\t(%s, %s]\t%d events\n", f.GetName(), stamp(f.GetWindowFrom()), stamp(f.GetWindowTo()), f.GetAllEvents())
		case f.GetWindowTo() != nil:
			fmt.Fprintf(t, "  %s\t[%s, %s)\t%d tiles\n", f.GetName(), stamp(f.GetWindowFrom()), stamp(f.GetWindowTo()), f.GetAllTiles())
		default:
			fmt.Fprintf(t, "  %s\tat any time\n", f.GetName())
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	b.printTiles(t)
	printKept(t, b.most((*pb.FeatureExplanation).GetAllEvents))
	return t.Flush()
}

// printTiles prints the tiles of the longest window, with a column of sums for each field that is summed.
func (b *block) printTiles(t io.Writer) {
	longest := b.most((*pb.FeatureExplanation).GetAllTiles)
	if len(longest.GetTiles()) == 0 {
		return
	}
	fmt.Fprintf(t, "  tiles, %s\tlength\tevents", howMany(len(longest.GetTiles()), longest.GetAllTiles()))
	var sums []*pb.FeatureExplanation
	for _, f := range b.features {
		same := func(have *pb.FeatureExplanation) bool { return have.GetSumOf() == f.GetSumOf() }
		switch at := slices.IndexFunc(sums, same); {
		case f.GetSumOf() == "":
		case at < 0:
			sums = append(sums, f)
		case f.GetAllTiles() > sums[at].GetAllTiles():
			sums[at] = f
		}
	}
	for _, f := range sums {
		fmt.Fprintf(t, "\tsum of %s", f.GetSumOf())
	}
	fmt.Fprintln(t)
	for i, tile := range longest.GetTiles() {
		fmt.Fprintf(t, "  %s\t%s\t%d", stamp(tile.GetFrom()), tiles.DurationText(time.Duration(tile.GetSeconds())*time.Second), tile.GetCount())
		for _, f := range sums {
			fmt.Fprintf(t, "\t%s", sumText(f.GetTiles(), i))
		}
		fmt.Fprintln(t)
	}
}

// sumText is a tile's sum; empty where the feature's window does not reach so far.
func sumText(list []*pb.ExplainedTile, i int) string {
	switch {
	case i >= len(list) || list[i].Sum == nil:
		return ""
	case list[i].GetWithValue() != list[i].GetCount():
		return fmt.Sprintf("%s of %d", valueText(list[i].GetSum()), list[i].GetWithValue())
	}
	return valueText(list[i].GetSum())
}

// printKept prints the events that are kept as they came.
func printKept(t io.Writer, f *pb.FeatureExplanation) {
	if len(f.GetEvents()) == 0 {
		return
	}
	fmt.Fprintf(t, "  events, %s\tdecision\n", howMany(len(f.GetEvents()), f.GetAllEvents()))
	for _, ev := range f.GetEvents() {
		void := ""
		if ev.GetVoid() {
			void = "\ttaken back"
		}
		fmt.Fprintf(t, "  %s\t%s…%s\n", stamp(ev.GetAt()), ev.GetDecisionIdPrefix(), void)
	}
}

func howMany(shown int, all uint32) string {
	if shown == int(all) {
		return "newest first"
	}
	return fmt.Sprintf("the newest %d of %d", shown, all)
}

func stamp(t *timestamppb.Timestamp) string { return moment(t.AsTime().UnixMicro()) }
