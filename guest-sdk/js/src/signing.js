// Importing this module is the permission `keyward:policy/signing`: it lets the methods of `Key` work.

import * as host from '#host/signing';

import { grant } from './permissions.js';

grant('signing', host);
