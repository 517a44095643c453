package models

// Scratch is the working memory of one goroutine. The zero value is ready; it grows to the largest
// model it has served and then allocates nothing. It must not be used by two goroutines at once.
type Scratch struct{}
