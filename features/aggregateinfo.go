package features

// AggregateInfo says what an aggregate is, in the words of docs/features.md, which is tested to have the same.
type AggregateInfo struct {
	Name, Class string
	// Needs are the keys that a feature of it must have beside name and aggregate, Takes those that it may have beside
	// default and on.
	Needs, Takes []string
	// ExcludesCurrent says that it leaves the event itself out where the feature does not say.
	ExcludesCurrent bool
	// Value says how the value is made, so that somebody else can make it.
	Value string
}

// Aggregates gives all aggregates, in the order of the documentation.
func Aggregates() []AggregateInfo {
	rules := aggregateRules()
	infos := make([]AggregateInfo, 0, len(rules))
	for _, rule := range rules {
		infos = append(infos, AggregateInfo{
			Name: rule.agg.String(), Class: rule.agg.class(), Needs: rule.needs, Takes: rule.takes,
			ExcludesCurrent: rule.exclude, Value: rule.agg.meaning(),
		})
	}
	return infos
}

// meaning says how an aggregate's value is made. n is the number of events, x are the values that they have.
func (a aggregate) meaning() string {
	return [...]string{
		aggCount:              "number of events",
		aggSum:                "sum(x) / scale",
		aggMean:               "sum(x) / number of x / scale; missing without any x",
		aggStd:                "sqrt(m*sum(x^2) - sum(x)^2) / (m*scale), m the number of x: of the population; missing without any x",
		aggCV:                 "std / |mean|, as sqrt(m*sum(x^2) - sum(x)^2) / |sum(x)|; missing where sum(x) is 0",
		aggMin:                "smallest x / scale; missing without any x",
		aggMax:                "largest x / scale; missing without any x",
		aggRange:              "(largest x - smallest x) / scale; missing without any x",
		aggTopShare:           "events of the most frequent category / events that have a category; missing without any",
		aggEntropy:            "sum of p*log2(1/p) over categories, p their shares of the events that have one: bits; missing without any",
		aggQuantile:           "of m values in order the one with number max(1, ceil(q*m)), as the middle of its bucket / scale; missing without any x",
		aggDecayedCount:       "sum of 2^(-age/half_life) over events",
		aggDecayedSum:         "sum of x*2^(-age/half_life) over events / scale",
		aggDistinct:           "number of different categories; capped where there may be more than the newest 256 tell",
		aggDistinctLarge:      "number of different categories by HyperLogLog with 512 registers and Ertl's improved raw estimator",
		aggActiveHours:        "most hours of UTC with an event in any one UTC day; 0 without events",
		aggQuietGap:           "the longest pause in the day of least rest, in seconds; missing without events",
		aggSameSlotShare:      "events in slots in which the other entity has more / events; missing without events",
		aggTimeSince:          "seconds from the newest event to t, 0 for one later in t's second; missing without any",
		aggFirstSeen:          "seconds from the oldest event ever to t, 0 for one later in t's second; missing without any",
		aggLastValue:          "x of the event that is nth from the newest (1 unless nth is given) / scale; missing where it has none",
		aggGapMean:            "mean gap in seconds; missing below 1 gap",
		aggGapCV:              "standard deviation of the gaps, of the population, / mean gap; missing below 2 gaps or where all are 0",
		aggGapMAD:             "median of |gap - median gap| / median gap; missing below 2 gaps or where the median is 0",
		aggGapEntropy:         "sum of p*log2(1/p) over bins of gaps, gap g in bin floor(5*ln(g in us, at least 1)): bits; missing below 2 gaps",
		aggGapAutocorrelation: "Pearson's correlation of ln(gap in us, at least 1) with that of the next gap; missing below 4 gaps, or where those of a side are all the same",
		aggGapShareUnder:      "gaps shorter than floor / gaps; missing below 1 gap",
		aggMetronome:          "largest |mean of exp(2*pi*i*(time - first time)*f)| over the grid's frequencies f of which the events span 8 turns, to 0.0031; missing without any such f",
		aggNgramCount:         "how often consecutive events, the oldest first, have the values of ngram; overlapping ones count",
		aggRatio:              "numerator / denominator; missing where one is missing or the denominator is 0",
		aggZScore:             "(the event's own x, or the feature that of names, - mean) / std, both of the window's x; missing below min_count (5) of them, or where std is 0",
		aggCEL:                "expr over features and event.FIELD, in doubles; missing where anything that it names is missing, or a number on its way has no bounds",
		aggValue:              "the event's own field; hour_of_day (0 to 23) and day_of_week (0 is Monday) are of t in UTC",
	}[a]
}
