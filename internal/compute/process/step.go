package process

// Step is a point of a start. Whoever dies there must leave the instance such
// that the next start makes it right: the contract test dies at each of them.
type Step string

const (
	StepFolder   Step = "folder"   // Drover: the instance's folder is there
	StepLocked   Step = "locked"   // Drover: holds the lock
	StepPrepared Step = "prepared" // Drover: the disks are there
	StepForked   Step = "forked"   // Drover: the launcher runs and shares the lock
	StepLaunched Step = "launched" // launcher: knows what to do, has written nothing
	StepRecorded Step = "recorded" // launcher: has written who it is, is not the program yet
	StepStarted  Step = "started"  // Drover: knows that the program runs
)

// Steps are all of them, in order.
var Steps = [...]Step{StepFolder, StepLocked, StepPrepared, StepForked, StepLaunched, StepRecorded, StepStarted}
