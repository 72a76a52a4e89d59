// Package control is the control process's end of the gateway: it keeps one
// running, tells it what the documents say, and answers for it.
//
// # What it promises
//
//   - One gateway serves. The one of an earlier control process is adopted, never
//     doubled, unless it runs another program: then one of this program succeeds it; one that died is replaced at once and given the listening sockets,
//     of which this process holds duplicates that it never accepts on.
//   - What the documents say is pushed whole, with the store's revision as its
//     generation. Applied(revision) is true once the gateway has confirmed it and
//     every listening socket that went with it is closed at both ends.
//   - A load balancer that cannot be applied (its address is taken, its backend is
//     Drover's own) says so in its status and serves by its previous spec; when
//     that cannot be applied any more either, it does not serve, and says so too.
//   - A set's preview is served as a balancer that no document describes; one that
//     cannot listen hinders nothing.
//   - The API's port is no balancer's, at whatever address: a name that stands for
//     several must not lead to a workload that poses as the API.
//   - While a gateway that was succeeded finishes, it is told whatever the other one
//     is: Applied is true of both, a drain has ended at both, and figures are sums.
//   - Facts are of the moment: while no gateway answers they are unknown, except
//     the last probe results, which are hints for the next one.
//
// # States
//
// Searching (is there one to adopt? does one leave?) → Starting → Attached, where
// snapshots and facts flow → Searching again when the connection ends. When there is
// reason to replace the gateway, and none leaves: Attached, with another one that
// starts and stands by → given the sockets and the snapshot → the one that serves is
// told to leave → Searching, which finds both.
//
// # A crash
//
// Nothing is kept on disk here. A new control process finds the gateway by its
// socket, makes sure by (boot, number, start time) that it is the one that was
// recorded, and is given the sockets and the applied snapshot. A crash between
// binding a new address and handing it over frees that address again; between
// handing it over and writing the status, the next one writes it. A gateway that
// it was starting ends by itself, so that `down` leaves none; so does one that stands
// by, unless it serves already, which the two gateways settle between them. Whatever
// goes wrong in a replacement is a reason to let go of all and search again. `down`
// stops who serves and who leaves until there is neither. When another
// control process has taken the gateway over, Run ends with ErrSuperseded.
package control
