// Importing this module is the permission `keyward:policy/macs`: it lets the methods of `Key` work.

import * as host from '#host/macs';

import { grant } from './permissions.js';

grant('macs', host);
