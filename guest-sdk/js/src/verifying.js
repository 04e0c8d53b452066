// Importing this module is the permission `keyward:policy/verifying`: it lets the methods of `Key` work.

import * as host from '#host/verifying';

import { grant } from './permissions.js';

grant('verifying', host);
