// Package fleet measures what a decision about a very large set costs.
package fleet
