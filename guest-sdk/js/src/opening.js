// Importing this module is the permission `keyward:policy/opening`: it lets the methods of `Key` work.

import * as host from '#host/opening';

import { grant } from './permissions.js';

grant('opening', host);
