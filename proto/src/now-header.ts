/** In the metadata with which each answer to an operator begins: the wall clock of the controller then, milliseconds since 1970. By it the instants in the answer are told as ages, whatever the reader's own clock says. */
export const NOW_HEADER = "muster-now";
