// Importing this module is the permission `keyward:policy/sealing`: it lets the methods of `Key` work.

import * as host from '#host/sealing';

import { grant } from './permissions.js';

grant('sealing', host);
