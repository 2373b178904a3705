#ifndef CZ_VERSION_H
#define CZ_VERSION_H

#define CZ_VERSION "0.1.0"

#endif
