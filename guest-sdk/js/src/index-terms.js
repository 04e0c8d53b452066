// Importing this module is the permission `keyward:policy/index`: it lets the methods of `Key` work.

import * as host from '#host/index';

import { grant } from './permissions.js';

grant('index', host);
